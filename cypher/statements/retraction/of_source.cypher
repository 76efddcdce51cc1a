// name: retraction/of_source
// summary: How many observations of a source stand, and some of them. It looks at all observations there are.
// params: source: String, limit: Integer
// returns: total: Integer, ids: List<String>
// access: read
// index: none
MATCH (o:Observation) WHERE o.source = $source AND o.retracted IS NULL
WITH o ORDER BY o.id
RETURN count(o) AS total, collect(o.id)[..$limit] AS ids
