// name: link/kept_apart
// summary: The cannot-links between two profiles: the least identifier of either, who said so, why and when.
// params: one: String, other: String
// returns: found: List<List<Any>>
// access: read
// index: profile_id
MATCH (p:Profile {id: $one})
USING INDEX SEEK p:Profile(id)
MATCH (q:Profile {id: $other})
USING INDEX SEEK q:Profile(id)
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[mine:APART]->(c:CannotLink)<-[theirs:APART]-(j:Identifier)-[:MEMBER_OF]->(q)
WHERE mine.side <> theirs.side AND c.lifted_at IS NULL
WITH c, min(i.key) AS a, min(j.key) AS b
RETURN collect([c.id, a, b, c.actor, c.reason, c.at]) AS found
