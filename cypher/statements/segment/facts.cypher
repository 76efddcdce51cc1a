// name: segment/facts
// summary: What rules are about, of profiles, and which segments they are in. Identifiers are told by namespace: how many, seen first and last when. Of events the tallies, for some types (null: for all), and the latest moments with their amounts, for some (empty: for all together), each with a moment before which none counts; each list of those has its type first, and as many as `most` of each identifier and type.
// params: elements: List<String>, names: List<String>, identifiers: Boolean, types: List<String>, recent: List<List<Any>>, most: Integer
// returns: found: List<List<Any>>
// access: read
// index: event_run
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier) WHERE $identifiers
  WITH split(i.key, ':')[0] AS namespace, count(*) AS many, min(i.first_seen) AS first, max(i.last_seen) AS last
  RETURN collect([namespace, many, first, last]) AS members
}
CALL (p) {
  UNWIND $types AS type
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally) WHERE type IS NULL OR t.type = type
  RETURN collect([t.type, t.source, t.count, t.first, t.last, t.amount]) AS tallies
}
CALL (p) {
  UNWIND $recent AS one
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  UNWIND CASE one[0]
    WHEN '' THEN COLLECT { MATCH (i)<-[:COUNTS]-(t:Tally) WHERE t.last >= one[1] RETURN DISTINCT t.type }
    ELSE [one[0]]
  END AS type
  CALL (i, one, type) {
    MATCH (e:Event)
    USING INDEX e:Event(by, type, observed_at)
    WHERE e.by = i.key AND e.type = type AND e.observed_at >= one[1]
    WITH e ORDER BY e.observed_at DESC, e.id DESC LIMIT $most
    RETURN collect([e.observed_at, coalesce(e.amount, 0)]) AS events
  }
  RETURN collect([one[0], events]) AS runs
}
RETURN collect([
  element, p.id, p.status = 'ACTIVE', [name IN $names | p[name]], members, tallies, runs,
  [(p)-[:IN_SEGMENT]->(s:Segment) | s.name], p.due
]) AS found
