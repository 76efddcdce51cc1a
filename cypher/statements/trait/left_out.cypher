// name: trait/left_out
// summary: Count values of traits whose names are beyond those that are taken of a source. Rows: key of the entry that says so, how many.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: trait_key
UNWIND $rows AS row
MATCH (t:Trait {key: row[0]})
SET t.left_out = coalesce(t.left_out, 0) + row[1]
