// name: profile/records_as_of
// summary: The same as profile/records, of the identifiers that were members at a moment, and as their records were then.
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
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
MATCH (i)<-[:HAS]-(r)
CALL (r) {
  WITH r WHERE r.since <= $at
  RETURN r.traits AS traits, r.observed_at AS observed_at
  UNION
  MATCH (r)-[:WAS]->(v:RecordVersion) WHERE v.since <= $at AND v.until > $at
  RETURN v.traits AS traits, v.observed_at AS observed_at
}
WITH row, r, traits, observed_at ORDER BY observed_at DESC, r.key DESC
WITH row, count(r) AS total, collect(
  CASE WHEN observed_at < row[1] OR (observed_at = row[1] AND r.key < row[2])
    THEN [r.key, r.source, r.record_id, traits, observed_at] END
)[..$limit] AS page
RETURN collect([row[0], row[1], row[2], total, page]) AS found
