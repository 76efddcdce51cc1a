// name: change/undoing
// summary: A change as undoing it needs it: what it was, who took part, what moved, who was with the survivor or target before, whether a cannot-link holds because it was undone, the link that it was by, and one on which the same act took a person's word back (null: none).
// params: id: String
// returns: found: List<List<Any>>
// access: read
// index: change_id, change_act, cannot_link_undoes
MATCH (c:Change {id: $id})
OPTIONAL MATCH (c)-[:OF {role: CASE c.kind WHEN 'MERGED' THEN 'SURVIVOR' ELSE 'TARGET' END}]->(into:Profile)
CALL (c, into) {
  MATCH (into)<-[m:MEMBER_OF|WAS_MEMBER_OF]-(i:Identifier)
  WHERE m.since < c.at AND (m.until IS NULL OR m.until >= c.at)
  RETURN collect(i.key) AS before
}
CALL (c, into) {
  MATCH (into)<-[of:OF]-(sibling:Change)
  WHERE sibling.at = c.at AND sibling.id < c.id AND of.role IN ['SURVIVOR', 'TARGET']
  RETURN collect(sibling.moved) AS came
}
CALL () {
  MATCH (undone:CannotLink {undoes: $id}) WHERE undone.lifted_at IS NULL
  RETURN count(undone) > 0 AS undone
}
CALL (c) {
  MATCH (one:Change {act: c.act}) WHERE one.kind = 'LINK_WITHDRAWN'
  RETURN collect(one.link) AS withdrawn
}
RETURN collect([
  c.kind, c.act, c.moved, [(c)-[of:OF]->(p:Profile) | [p.id, of.role]],
  reduce(keys = before, moved IN came | keys + moved), undone,
  c.link, head(withdrawn)
]) AS found
