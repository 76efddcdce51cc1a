// name: verify/cannot_links
// summary: Every cannot-link that holds, with both sides.
// params: none
// returns: id: String, one: List<String>, other: List<String>
// access: read
// index: none
MATCH (c:CannotLink) WHERE c.lifted_at IS NULL
RETURN c.id AS id, [(k:Identifier)-[:APART {side: 0}]->(c) | k.key] AS one,
  [(k:Identifier)-[:APART {side: 1}]->(c) | k.key] AS other
