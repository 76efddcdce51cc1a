// name: batch/read
// summary: Which observations were taken before, with their results, and the identifiers that exist, each with its profile as the write protocol needs it. One row, since rows cost more than lists.
// params: observations: List<String>, keys: List<String>
// returns: taken: List<List<String>>, found: List<List<Any>>
// access: read
// index: identifier_key, observation_id
CALL () {
  UNWIND $observations AS id
  MATCH (o:Observation {id: id})
  RETURN collect([o.id, o.digest, o.result]) AS taken
}
CALL () {
  UNWIND $keys AS key
  MATCH (i:Identifier {key: key})
  OPTIONAL MATCH (i)-[:MEMBER_OF]->(p:Profile)
  RETURN collect([
    key, elementId(i), i.state, i.partners,
    elementId(p), p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited
  ]) AS found
}
RETURN taken, found
