// name: event/tallies
// summary: When the identifiers of profiles were seen first and last, and the tallies of their events.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  RETURN min(i.first_seen) AS first, max(i.last_seen) AS last
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally)
  RETURN collect([t.type, t.source, t.count, t.first, t.last, t.amount]) AS tallies
}
RETURN collect([id, first, last, tallies]) AS found
