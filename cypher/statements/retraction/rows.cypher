// name: retraction/rows
// summary: The rows of records that stand: key, anchor, digest of the newest, and of those before it digest and observed_at.
// params: keys: List<String>
// returns: found: List<List<Any>>
// access: read
// index: record_key
UNWIND $keys AS key
MATCH (r:Record {key: key})-[:HAS]->(i:Identifier)
USING INDEX SEEK r:Record(key)
RETURN collect([
  r.key, i.key, r.digest,
  [(r)-[:WAS]->(v:RecordVersion) WHERE v.retracted IS NULL | [v.digest, v.observed_at]]
]) AS found
