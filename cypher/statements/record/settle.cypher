// name: record/settle
// summary: Records that were matched, unless they changed since or are to be compared again. Rows: key, digest, crowds (null: none).
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: record_key
UNWIND $rows AS row
MATCH (r:Record {key: row[0]})
SET r.lock = 0
WITH r, row WHERE r.digest + coalesce('/' + toString(r.again), '') = row[1]
SET r.unmatched = null, r.crowds = row[2]
