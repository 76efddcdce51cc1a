// name: score/journeys
// summary: What profiles did, in the order of their ids: id, identifiers as key, first seen and whether a device, and of each identifier and type the latest events until a moment as type, source, time and amount.
// params: after: String, limit: Integer, until: Integer, events: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id, event_run
MATCH (p:Profile) WHERE p.id > $after AND p.status = 'ACTIVE'
WITH p ORDER BY p.id LIMIT $limit
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  RETURN collect([i.key, i.first_seen, i:Device]) AS members
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)<-[:COUNTS]-(t:Tally)
  WITH DISTINCT i.key AS by, t.type AS type
  CALL (by, type) {
    MATCH (e:Event)
    USING INDEX e:Event(by, type, observed_at)
    WHERE e.by = by AND e.type = type AND e.observed_at <= $until
    WITH e ORDER BY e.observed_at DESC, e.id DESC LIMIT $events
    RETURN collect([e.type, e.source, e.observed_at, coalesce(e.amount, 0)]) AS run
  }
  RETURN collect(run) AS runs
}
RETURN collect([p.id, members, runs]) AS found
