// name: component/cannot_links
// summary: The pairs that a person keeps apart and that start in these profiles.
// params: elements: List<String>
// returns: found: List<List<String>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[:CANNOT_LINK]-(j:Identifier)
RETURN collect([i.key, j.key]) AS found
