// name: golden/read
// summary: What profiles show of their golden record, and what all their records and people say, see record/traits. Only of profiles that have or had any.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:HAS|OVERRIDES|SCORES]-(r) WHERE r.until IS NULL
  RETURN collect([r.source, r.observed_at, r.traits, r.key, r.reason]) AS records
}
WITH element, records, [name IN keys(p) WHERE name STARTS WITH 'trait:' OR name STARTS WITH 'date:' | [name, p[name]]] AS shown
WHERE size(records) > 0 OR size(shown) > 0
RETURN collect([element, shown, records]) AS found
