// name: record/fields
// summary: What records say, for a model to read.
// params: keys: List<String>
// returns: found: List<List<String>>
// access: read
// index: record_key
UNWIND $keys AS key
MATCH (r:Record {key: key})
RETURN collect([r.key, r.digest, r.source, r.traits]) AS found
