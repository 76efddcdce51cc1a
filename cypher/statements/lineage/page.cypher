// name: lineage/page
// summary: Pages of what happened to profiles and to all that were merged into them, newest first, by a moment at the latest. Rows: profile id, then the time and the id before the page.
// params: rows: List<List<Any>>, limit: Integer, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})
CALL (p) {
  RETURN p AS one
  UNION
  MATCH (p)<-[merged:MERGED_INTO]-(one:Profile) WHERE merged.at <= $at
  RETURN one
}
CALL (one) {
  MATCH (one)<-[:OF]-(c:Change)
  RETURN c.at AS at, c.id AS id, c.kind AS kind
  UNION
  WITH one WHERE one.created_by IS NOT NULL
  RETURN one.created_at AS at, 'created-' + one.id AS id, 'CREATED' AS kind
}
WITH DISTINCT row, at, id, kind WHERE at <= $at
WITH row, at, id, kind ORDER BY at DESC, id DESC
WITH row, count(id) AS total, collect(
  CASE WHEN at < row[1] OR (at = row[1] AND id < row[2]) THEN [at, id, kind] END
)[..$limit] AS items
RETURN collect([row[0], row[1], row[2], total, items]) AS found
