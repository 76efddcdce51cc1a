// name: event/create
// summary: The same as observation/create, of observations that tell of an event. Rows: id, digest, source, observed_at, keys, result, key of the identifier that it is by, type, properties, amount (null: none).
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
CREATE (:Observation:Event {
  id: row[0], digest: row[1], source: row[2], observed_at: row[3], keys: row[4], result: row[5], at: $at,
  by: row[6], type: row[7], properties: row[8], amount: row[9]
})
