// name: trait/list
// summary: The traits that sources gave, each by source and type with a masked example.
// params: none
// returns: found: List<List<String>>
// access: read
// index: none
MATCH (t:Trait)
RETURN collect([t.source, t.name, t.type, t.example]) AS found
