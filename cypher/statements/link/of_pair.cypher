// name: link/of_pair
// summary: The links that hold the profile of two identifiers together: id, both ends, and the weight of a matched one. No row where they have not one profile.
// params: one: String, other: String
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
MATCH (a:Identifier {key: $one})
USING INDEX SEEK a:Identifier(key)
MATCH (b:Identifier {key: $other})
USING INDEX SEEK b:Identifier(key)
MATCH (a)-[:MEMBER_OF]->(p:Profile)<-[:MEMBER_OF]-(b)
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]->(j:Identifier)
  WHERE i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND l.state = 'ACTIVE'
  RETURN collect([l.id, i.key, j.key, CASE l.kind WHEN 'MATCHED' THEN l.weight END]) AS found
}
RETURN found
