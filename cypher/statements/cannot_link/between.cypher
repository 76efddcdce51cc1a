// name: cannot_link/between
// summary: The cannot-links that keep two identifiers apart now, with both sides by their keys.
// params: one: String, other: String
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
MATCH (i:Identifier {key: $one})
USING INDEX SEEK i:Identifier(key)
MATCH (j:Identifier {key: $other})
USING INDEX SEEK j:Identifier(key)
MATCH (i)-[mine:APART]->(c:CannotLink)<-[theirs:APART]-(j)
WHERE mine.side <> theirs.side AND c.lifted_at IS NULL
RETURN collect([
  c.id, [(k:Identifier)-[:APART {side: 0}]->(c) | k.key], [(k:Identifier)-[:APART {side: 1}]->(c) | k.key]
]) AS found
