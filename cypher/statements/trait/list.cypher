// name: trait/list
// summary: The traits that sources gave, each by source and type with a masked example; and how many values of further names were left out.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
MATCH (t:Trait)
RETURN collect([t.source, t.name, t.type, t.example, coalesce(t.left_out, 0)]) AS found
