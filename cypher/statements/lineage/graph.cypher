// name: lineage/graph
// summary: What happened to the graph as a whole, newest first: other rules, other models.
// params: limit: Integer
// returns: id: String, kind: String
// access: read
// index: none
MATCH (c:GraphChange)
WITH c ORDER BY c.at DESC, c.id DESC LIMIT $limit
RETURN c.id AS id, c.kind AS kind
