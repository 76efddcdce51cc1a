// name: verify/golden
// summary: What each profile shows of its golden record, and what all its records and people say, as golden/read tells it; not those that have neither.
// params: none
// returns: id: String, shown: List<List<Any>>, records: List<List<Any>>
// access: read
// index: none
MATCH (p:Profile)
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:HAS|OVERRIDES|SCORES]-(r) WHERE r.until IS NULL
  RETURN collect([r.source, r.observed_at, r.traits, r.key, r.reason]) AS records
}
WITH p, records, [name IN keys(p) WHERE name STARTS WITH 'trait:' OR name STARTS WITH 'date:' | [name, p[name]]] AS shown
WHERE size(records) > 0 OR size(shown) > 0
RETURN p.id AS id, shown, records
