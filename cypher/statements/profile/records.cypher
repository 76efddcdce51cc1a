// name: profile/records
// summary: Pages of profiles' records, newest first. Rows: profile id, then the time and the key before the page.
// params: rows: List<List<Any>>, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})<-[:MEMBER_OF]-(:Identifier)<-[:HAS]-(r:Record)
USING INDEX SEEK p:Profile(id)
WITH row, r ORDER BY r.observed_at DESC, r.key DESC
WITH row, count(r) AS total, collect(
  CASE WHEN r.observed_at < row[1] OR (r.observed_at = row[1] AND r.key < row[2]) THEN r END
)[..$limit] AS page
RETURN collect([row[0], row[1], row[2], total, [r IN page | [r.key, r.source, r.record_id, r.traits, r.observed_at]]])
  AS found
