// name: record/hold
// summary: Hold records until the commit, then say which rows they are. Every record that is written is held likewise.
// params: keys: List<String>
// returns: held: List<List<String>>
// access: write
// index: record_key
UNWIND $keys AS key
MATCH (r:Record {key: key})
SET r.lock = 0
RETURN collect([r.key, r.digest + coalesce('/' + toString(r.again), '')]) AS held
