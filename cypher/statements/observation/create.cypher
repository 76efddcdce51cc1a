// name: observation/create
// summary: Remember what was observed and what came of it, so that a repeat gives the same answer. Rows: id, digest, source, observed_at, keys, result.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
CREATE (:Observation {id: row[0], digest: row[1], source: row[2], observed_at: row[3], keys: row[4], result: row[5], at: $at})
