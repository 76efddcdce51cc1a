// name: retraction/content
// summary: What observations that an act retracted had said, beside their keys: id, the event (type, properties, amount) and whose it is, the row of the record (id, traits) among records of these keys, and the identifiers as they were submitted. Rows: id, keys of records, keys of identifiers.
// params: rows: List<List<Any>>
// returns: found: List<List<Any>>
// access: read
// index: identifier_key, observation_id, record_key, retracted_identifier_key, retracted_record_key
UNWIND $rows AS row
MATCH (o:Observation {id: row[0]})
CALL (o, row) {
  UNWIND row[1] AS key
  CALL (key) {
    MATCH (r:Record {key: key}) RETURN r
    UNION
    MATCH (r:RetractedRecord {key: key}) RETURN r
  }
  OPTIONAL MATCH (r)-[:WAS]->(v:RecordVersion) WHERE v.digest = o.digest
  WITH o, r, v WHERE v IS NOT NULL OR r.digest = o.digest
  RETURN collect([r.record_id, coalesce(v.traits, r.traits)]) AS said
}
CALL (row) {
  UNWIND row[2] AS key
  CALL (key) {
    MATCH (i:Identifier {key: key}) RETURN i
    UNION
    MATCH (i:RetractedIdentifier {key: key}) RETURN i
  }
  WITH key, i WHERE i.raw IS NOT NULL
  RETURN collect([key, i.raw]) AS raw
}
RETURN collect([
  o.id, CASE WHEN o:RetractedEvent THEN [o.type, o.properties, o.amount] END, o.by, head(said), raw
]) AS found
