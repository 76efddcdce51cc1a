// name: link/refused_between
// summary: Some refused links from the members of one profile to those of another, by id. Neither is a shared identifier's.
// params: one: String, other: String, limit: Integer
// returns: ids: List<String>
// access: read
// index: profile_id
MATCH (p:Profile {id: $one})
USING INDEX SEEK p:Profile(id)
MATCH (q:Profile {id: $other})
USING INDEX SEEK q:Profile(id)
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]-(j:Identifier)-[:MEMBER_OF]->(q)
WHERE l.state = 'REFUSED' AND i.state = 'ACTIVE' AND j.state = 'ACTIVE'
WITH DISTINCT l.id AS id ORDER BY id LIMIT $limit
RETURN collect(id) AS ids
