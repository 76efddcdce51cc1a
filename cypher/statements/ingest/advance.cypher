// name: ingest/advance
// summary: Remember how far a file was taken, in the transaction that takes it.
// params: key: String, place: String, at: Integer
// returns: none
// access: write
// index: ingest_key
MERGE (i:Ingest {key: $key})
SET i.place = $place, i.at = $at
