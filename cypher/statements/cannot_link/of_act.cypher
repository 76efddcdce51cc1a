// name: cannot_link/of_act
// summary: The cannot-links that an act set (true) or lifted (false), whether they hold now, and both sides by their keys.
// params: act: String
// returns: found: List<List<Any>>
// access: read
// index: cannot_link_act, cannot_link_lifted_by
CALL () {
  MATCH (c:CannotLink {act: $act})
  RETURN c, true AS set
  UNION
  MATCH (c:CannotLink {lifted_by: $act})
  RETURN c, false AS set
}
RETURN collect([
  c.id, set, c.lifted_at IS NULL,
  [(k:Identifier)-[:APART {side: 0}]->(c) | k.key], [(k:Identifier)-[:APART {side: 1}]->(c) | k.key]
]) AS found
