// name: ingest/place
// summary: How far a file was taken: the rows, lines and digest of what was read, and the counts of what came of it.
// params: key: String
// returns: place: String
// access: read
// index: ingest_key
MATCH (i:Ingest {key: $key})
RETURN i.place AS place
