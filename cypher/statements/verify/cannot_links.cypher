// name: verify/cannot_links
// summary: All pairs that a person keeps apart.
// params: none
// returns: a: String, b: String
// access: read
// index: none
MATCH (i:Identifier)-[:CANNOT_LINK]->(j:Identifier)
RETURN i.key AS a, j.key AS b
