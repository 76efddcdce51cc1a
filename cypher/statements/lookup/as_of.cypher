// name: lookup/as_of
// summary: The profile that held each identifier at a moment, its state now, and what states it had, see domain/past.
// params: keys: List<String>, at: Integer
// returns: found: List<List<String>>
// access: read
// index: identifier_key, retracted_identifier_key
UNWIND $keys AS key
CALL (key) {
  MATCH (i:Identifier {key: key}) RETURN i
  UNION ALL
  MATCH (i:RetractedIdentifier {key: key}) RETURN i
}
OPTIONAL MATCH (i)-[now:MEMBER_OF]->(p:Profile) WHERE now.since <= $at
OPTIONAL MATCH (i)-[was:WAS_MEMBER_OF]->(q:Profile) WHERE was.since <= $at AND was.until > $at
WITH key, i, p, q WHERE p IS NOT NULL OR q IS NOT NULL OR i.state = 'BLOCKED'
RETURN collect([key, i.state, i.was, coalesce(p.id, q.id)]) AS found
