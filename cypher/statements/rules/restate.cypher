// name: rules/restate
// summary: Identifiers that are junk or shared now, or no more, and what that says of their links. One between two people's own identifiers again is as if just refused, so that both are looked at. Rows: element, state, partners.
// params: rows: List<List<Any>>, at: Integer, act: String, actor: String, reason: String, rules: String
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
WITH row, i, i.state <> row[1] AS other
SET i.was = CASE WHEN other THEN coalesce(i.was + '\n', '') + toString($at) + '\t' + i.state + '\t' + i.sources ELSE i.was END,
    i.state = row[1], i.partners = row[2]
WITH collect(CASE WHEN other THEN i END) AS changed
UNWIND changed AS i
MATCH (i)-[l:LINK]-(:Identifier) WHERE l.state IN ['ACTIVE', 'REFUSED']
WITH DISTINCT l, startNode(l) AS a, endNode(l) AS b
WITH l, a, b, l.state = 'REFUSED' AND NOT l.reason IN ['BLOCKED_VALUE', 'SHARED_IDENTIFIER'] AS counted,
  [end IN [a, b] WHERE end.state = 'BLOCKED' | end.key] AS junk,
  [end IN [a, b] WHERE end.state = 'SHARED' | end.key] AS shared, coalesce(l.reason, '') AS before
SET l.state = 'REFUSED',
    l.reason = CASE WHEN size(junk) > 0 THEN 'BLOCKED_VALUE' WHEN size(shared) > 0 THEN 'SHARED_IDENTIFIER' ELSE l.reason END,
    l.parties = CASE WHEN size(junk) > 0 THEN junk WHEN size(shared) > 0 THEN shared ELSE l.parties END
WITH l, a, b, counted, junk, shared, before
CALL (l, a, b, before) {
  WITH l, a, b WHERE l.reason <> before
  CREATE (c:Change {
    id: randomUUID(), kind: 'LINK_REFUSED', cause: 'RULES', link: l.id, at: $at, act: $act, actor: $actor,
    reason: $reason, moved: [], rules_version: $rules
  })
  WITH c, a, b
  UNWIND [a, b] AS end
  MATCH (end)-[:MEMBER_OF]->(p:Profile)
  WITH DISTINCT c, p
  CREATE (c)-[:OF {role: 'PARTY'}]->(p)
}
WITH a, b, toInteger(size(junk) + size(shared) = 0) - toInteger(counted) AS more
UNWIND [a, b] AS end
MATCH (end)-[:MEMBER_OF]->(p:Profile)
WITH p, sum(more) AS more ORDER BY elementId(p)
WITH p, more WHERE more <> 0
SET p.lock = 0
SET p.refused = p.refused + more
