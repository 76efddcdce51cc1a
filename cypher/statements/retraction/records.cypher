// name: retraction/records
// summary: Records without the rows that were taken back; one without any row is none. Rows: key, digests taken back, digest of the row that is the newest now (null: none is left). Tells which crowds they were of.
// params: rows: List<List<Any>>, act: String, at: Integer
// returns: crowds: List<Integer>
// access: write
// index: record_key
UNWIND $rows AS row
MATCH (r:Record {key: row[0]})
CALL (row, r) {
  MATCH (r)-[:WAS]->(v:RecordVersion) WHERE v.digest IN row[1] AND v.retracted IS NULL
  SET v.retracted = $act
}
WITH row, r WHERE r.digest IN row[1]
CREATE (r)-[:WAS]->(:RecordVersion {
  traits: r.traits, observed_at: r.observed_at, digest: r.digest, since: r.since, until: $at, retracted: $act
})
WITH row, r, head([(r)-[:WAS]->(v:RecordVersion) WHERE v.digest = row[2] AND v.retracted IS NULL | v]) AS next
SET r.traits = next.traits, r.observed_at = next.observed_at, r.digest = next.digest,
    r.since = CASE WHEN next IS NULL THEN null ELSE $at END,
    r.unmatched = CASE WHEN next IS NULL OR r.model IS NULL THEN null ELSE 1 END,
    r.model = null, r.fields = null,
    r.block_1 = null, r.block_2 = null, r.block_3 = null, r.block_4 = null,
    r.block_5 = null, r.block_6 = null, r.block_7 = null, r.block_8 = null,
    r.block_9 = null, r.block_10 = null, r.block_11 = null, r.block_12 = null,
    r.block_13 = null, r.block_14 = null, r.block_15 = null, r.block_16 = null
FOREACH (_ IN CASE WHEN next IS NULL THEN [1] ELSE [] END | REMOVE r:Record SET r:RetractedRecord, r.until = $at)
WITH r
UNWIND coalesce(r.crowds, []) AS crowd
RETURN collect(DISTINCT crowd) AS crowds
