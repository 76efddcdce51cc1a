// name: proposal/page
// summary: A page of proposals of a status, the surest first. Open ones of identifiers that are one person's by now are left out. Each is told with the profiles of its ends, and whether a person keeps these apart.
// params: status: String, weight: Float, id: String, limit: Integer
// returns: total: Integer, found: List<List<Any>>
// access: read
// index: link_proposal
MATCH (a:Identifier)-[l:LINK {proposal: $status}]->(b:Identifier)
USING INDEX SEEK l:LINK(proposal)
MATCH (a)-[:MEMBER_OF]->(p:Profile)
MATCH (b)-[:MEMBER_OF]->(q:Profile)
WITH l, a, b, p, q WHERE $status <> 'OPEN' OR p <> q
WITH l, a, b, p, q ORDER BY l.weight DESC, l.id
WITH count(l) AS total, collect(
  CASE WHEN l.weight < $weight OR (l.weight = $weight AND l.id > $id) THEN [l, a, b, p, q] END
)[..$limit] AS page
CALL (page) {
  UNWIND page AS one
  WITH one[0] AS l, one[1] AS a, one[2] AS b, one[3] AS p, one[4] AS q
  RETURN collect([
    l.id, l.proposal, l.weight, a.key, b.key, a.state, b.state, p.id, p.size, p.limited, q.id, q.size, q.limited,
    coalesce(p.guarded, false) AND coalesce(q.guarded, false) AND EXISTS {
      MATCH (p)<-[:MEMBER_OF]-(:Identifier)-[mine:APART]->(c:CannotLink)<-[theirs:APART]-(:Identifier)-[:MEMBER_OF]->(q)
      WHERE mine.side <> theirs.side AND c.lifted_at IS NULL
    }
  ]) AS found
}
RETURN total, found
