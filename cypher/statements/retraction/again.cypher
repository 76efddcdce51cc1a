// name: retraction/again
// summary: Observations that an act retracted are to be made anew: nothing of them is left, nor of the rows of records that were taken back with them. Records: keys of records and digests.
// params: ids: List<String>, records: List<List<String>>
// returns: none
// access: write
// index: observation_id, record_key, retracted_record_key
CALL () {
  UNWIND $ids AS id
  MATCH (o:Observation {id: id})
  DELETE o
}
CALL () {
  UNWIND $records AS row
  CALL (row) {
    MATCH (r:Record {key: row[0]}) RETURN r
    UNION
    MATCH (r:RetractedRecord {key: row[0]}) RETURN r
  }
  MATCH (r)-[:WAS]->(v:RecordVersion) WHERE v.digest = row[1] AND v.retracted IS NOT NULL AND v.since IS NULL
  DETACH DELETE v
}
