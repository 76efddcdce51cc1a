// name: trait/note
// summary: Traits that a source gave for the first time. Rows: key, source, name, type, masked example.
// params: rows: List<List<String>>
// returns: none
// access: write
// index: trait_key
UNWIND $rows AS row
MERGE (t:Trait {key: row[0]})
ON CREATE SET t.source = row[1], t.name = row[2], t.type = row[3], t.example = row[4]
