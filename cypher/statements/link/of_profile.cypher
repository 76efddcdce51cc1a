// name: link/of_profile
// summary: The links that hold a profile together: id, both ends, and the weight of a matched one.
// params: id: String
// returns: found: List<List<Any>>
// access: read
// index: profile_id
MATCH (p:Profile {id: $id})<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]->(j:Identifier)
USING INDEX SEEK p:Profile(id)
WHERE i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND l.state = 'ACTIVE'
RETURN collect([l.id, i.key, j.key, CASE l.kind WHEN 'MATCHED' THEN l.weight END]) AS found
