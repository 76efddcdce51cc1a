// name: identifier/remember
// summary: What state and sources identifiers had until a moment: they have others from then on. Rows: element, state, sources.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
SET i.was = coalesce(i.was + '\n', '') + toString($at) + '\t' + row[1] + '\t' + row[2]
