// name: profile/records_as_of
// summary: The same as profile/records, of the identifiers that were members at a moment, and what had been observed by then.
// params: rows: List<List<Any>>, limit: Integer, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})
CALL (p) {
  MATCH (p)<-[now:MEMBER_OF]-(i:Identifier) WHERE now.since <= $at
  RETURN i
  UNION
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i:Identifier) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
MATCH (i)<-[:HAS]-(r:Record) WHERE r.observed_at <= $at
WITH row, r ORDER BY r.observed_at DESC, r.key DESC
WITH row, count(r) AS total, collect(
  CASE WHEN r.observed_at < row[1] OR (r.observed_at = row[1] AND r.key < row[2]) THEN r END
)[..$limit] AS page
RETURN collect([row[0], row[1], row[2], total, [r IN page | [r.key, r.source, r.record_id, r.traits, r.observed_at]]])
  AS found
