// name: record/traits_as_of
// summary: The same as record/traits, of the identifiers that were members at a moment, and as their records and people's word were then.
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
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
CALL (i) {
  MATCH (i)<-[:HAS]-(r:Record) WHERE r.since <= $at
  RETURN [r.source, r.observed_at, r.traits, r.key, null] AS item
  UNION ALL
  MATCH (i)<-[:HAS]-(r)-[:WAS]->(v:RecordVersion) WHERE v.since <= $at AND v.until > $at
  RETURN [r.source, v.observed_at, v.traits, r.key, null] AS item
  UNION ALL
  MATCH (i)<-[:OVERRIDES|SCORES]-(o) WHERE coalesce(o.since, o.observed_at) <= $at AND (o.until IS NULL OR o.until > $at)
  RETURN [o.source, o.observed_at, o.traits, o.key, o.reason] AS item
}
WITH id, collect(item) AS items
RETURN collect([id, items]) AS found
