// name: link/kept_apart
// summary: The pairs of members of two profiles that a person keeps apart.
// params: one: String, other: String
// returns: found: List<List<String>>
// access: read
// index: profile_id
MATCH (p:Profile {id: $one})
USING INDEX SEEK p:Profile(id)
MATCH (q:Profile {id: $other})
USING INDEX SEEK q:Profile(id)
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[:CANNOT_LINK]-(j:Identifier)-[:MEMBER_OF]->(q)
RETURN collect([i.key, j.key]) AS found
