// name: identifier/find
// summary: Identifiers that exist, each with its profile as the write protocol needs it. One row, since rows cost more than lists.
// params: keys: List<String>
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
OPTIONAL MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect([
  key, elementId(i), i.state, i.partners,
  elementId(p), p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited
]) AS found
