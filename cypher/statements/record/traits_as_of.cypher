// name: record/traits_as_of
// summary: The same as record/traits, of the identifiers that were members at a moment, and as their records were then.
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
MATCH (i)<-[:HAS]-(r:Record)
CALL (r) {
  WITH r WHERE r.since <= $at
  RETURN r.traits AS traits, r.observed_at AS observed_at
  UNION
  MATCH (r)-[:WAS]->(v:RecordVersion) WHERE v.since <= $at AND v.until > $at
  RETURN v.traits AS traits, v.observed_at AS observed_at
}
WITH id, collect([r.source, observed_at, traits, r.key]) AS items
RETURN collect([id, items]) AS found
