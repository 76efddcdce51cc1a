// name: link/details
// summary: Links by id.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: link_id
UNWIND $ids AS id
MATCH (a:Identifier)-[l:LINK {id: id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
RETURN collect([
  l.id, a.key, b.key, l.kind, l.source, l.state, l.first_seen, l.last_seen, l.count, l.weight, l.reason, l.parties,
  l.probability, l.levels
]) AS found
