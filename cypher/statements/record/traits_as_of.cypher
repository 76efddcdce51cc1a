// name: record/traits_as_of
// summary: The same as record/traits, of the identifiers that were members at a moment, and what had been observed by then.
// params: ids: List<String>, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p)<-[now:MEMBER_OF]-(i:Identifier) WHERE now.since <= $at
  RETURN i
  UNION
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i:Identifier) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
MATCH (i)<-[:HAS]-(r:Record) WHERE r.observed_at <= $at
WITH id, collect([r.source, r.observed_at, r.traits, r.key]) AS items
RETURN collect([id, items]) AS found
