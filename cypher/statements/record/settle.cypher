// name: record/settle
// summary: Records that were matched, unless they changed since. Rows: key, digest.
// params: rows: List<List<String>>
// returns: none
// access: write
// index: record_key
UNWIND $rows AS row
MATCH (r:Record {key: row[0]}) WHERE r.digest = row[1]
SET r.unmatched = null
