// name: profile/members_as_of
// summary: The same as profile/members, of the identifiers that were members at a moment; also what they were, see domain/past.
// params: rows: List<List<String>>, limit: Integer, at: Integer
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
WITH row, i ORDER BY i.key
WITH row, count(i) AS total, collect(CASE WHEN i.key > row[1] THEN i END)[..$limit] AS page
RETURN collect([row[0], row[1], total, [i IN page | [i.key, i.first_seen, i.last_seen, i.sources, i.state, i.was, i.firsts, i.last_since]]]) AS found
