// name: proposal/between
// summary: The open proposals between two profiles, the surest first, each as proposal/page tells it.
// params: one: String, other: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
MATCH (p:Profile {id: $one})
USING INDEX SEEK p:Profile(id)
MATCH (q:Profile {id: $other})
USING INDEX SEEK q:Profile(id)
MATCH (p)<-[:MEMBER_OF]-(a:Identifier)-[l:LINK {kind: 'MATCHED'}]-(b:Identifier)-[:MEMBER_OF]->(q)
// Else the planner may look at all open proposals, instead of at those of two people.
WITH l, a, b, p, q WHERE coalesce(l.proposal, '') = 'OPEN'
WITH l, a, b, p, q ORDER BY l.weight DESC, l.id LIMIT $limit
RETURN collect([
  l.id, l.proposal, l.weight, a.key, b.key, a.state, b.state, p.id, p.size, p.limited, q.id, q.size, q.limited,
  coalesce(p.guarded, false) AND coalesce(q.guarded, false) AND EXISTS {
    MATCH (p)<-[:MEMBER_OF]-(:Identifier)-[mine:APART]->(c:CannotLink)<-[theirs:APART]-(:Identifier)-[:MEMBER_OF]->(q)
    WHERE mine.side <> theirs.side AND c.lifted_at IS NULL
  }
]) AS found
