// name: lineage/page
// summary: Pages of what happened to profiles and to all that were merged into them, newest first, by a moment at the latest; each entry as lineage/changes tells it, with the link that brought it about as link/details tells that, but what the model said of it then. Rows: profile id, then the time and the id before the page.
// params: rows: List<List<Any>>, limit: Integer, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id, link_id
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})
WITH row, [p] + [(p)<-[merged:MERGED_INTO]-(one:Profile) WHERE merged.at <= $at | one] AS profiles
CALL (profiles) {
  UNWIND profiles AS one
  MATCH (one)<-[:OF]-(c:Change)
  WITH DISTINCT c
  RETURN c AS entry, c.at AS at, c.id AS id
  UNION ALL
  UNWIND profiles AS one
  WITH one WHERE one.created_by IS NOT NULL
  RETURN one AS entry, one.created_at AS at, 'created-' + one.id AS id
}
WITH row, entry, at, id WHERE at <= $at
WITH row, entry, at, id ORDER BY at DESC, id DESC
WITH row, count(id) AS total, collect(
  CASE WHEN at < row[1] OR (at = row[1] AND id < row[2]) THEN entry END
)[..$limit] AS entries
CALL (entries) {
  UNWIND range(0, size(entries) - 1) AS n
  WITH n, entries[n] AS c
  OPTIONAL MATCH (a:Identifier)-[l:LINK {id: CASE WHEN c:Change THEN c.link ELSE c.created_link END}]->(b:Identifier)
  USING INDEX SEEK l:LINK(id)
  WITH n, c, CASE WHEN l IS NOT NULL THEN [
    l.id, a.key, b.key, l.kind, coalesce(c.matched_by, l.source), l.state, l.first_seen, l.last_seen, l.count,
    coalesce(c.weight, l.weight), l.reason, l.parties, coalesce(c.probability, l.probability), coalesce(c.levels, l.levels)
  ] END AS by
  ORDER BY n
  RETURN collect(CASE WHEN c:Change THEN [
    c.id, c.kind, c.at, c.cause, c.link, c.observation, c.actor, c.reason, coalesce(c.model, c.rules_version), c.moved,
    [(c)-[of:OF]->(q:Profile) | [q.id, of.role]], by
  ] ELSE [
    'created-' + c.id, 'CREATED', c.created_at, 'LINK', c.created_link, c.created_by, null, null, null, [],
    [[c.id, 'CREATED']], by
  ] END) AS items
}
RETURN collect([row[0], row[1], row[2], total, items]) AS found
