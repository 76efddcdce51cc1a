// name: record/traits
// summary: What all records of profiles say, and people: their word has a reason. With it when their identifiers were seen first and last, and the tallies of their events.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
USING INDEX SEEK p:Profile(id)
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  RETURN min(i.first_seen) AS first, max(i.last_seen) AS last
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:HAS|OVERRIDES|SCORES]-(r)
  WHERE r.until IS NULL
  RETURN collect([r.source, r.observed_at, r.traits, r.key, r.reason]) AS items
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally)
  RETURN collect([t.type, t.source, t.count, t.first, t.last, t.amount]) AS tallies
}
RETURN collect([id, items, first, last, tallies]) AS found
