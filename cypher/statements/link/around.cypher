// name: link/around
// summary: Links at identifiers, each once and the newest first. Of an identifier with very many, such as a shared one, only some.
// params: keys: List<String>, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
CALL (i) {
  MATCH (i)-[l:LINK]-()
  RETURN l LIMIT 1000
}
WITH DISTINCT l ORDER BY l.last_seen DESC, l.id LIMIT $limit
RETURN collect([startNode(l).key, endNode(l).key, l.source, l.state, l.first_seen, l.last_seen, l.count, l.reason, l.parties]) AS found
