// name: segment/facts
// summary: What rules are about, of profiles, and which segments they are in. Identifiers are told by namespace: how many, and last seen when. Of events the number by type, for some types, and the latest moments, for some; each list of those has its type first, and as many as `most` of each identifier.
// params: elements: List<String>, names: List<String>, identifiers: Boolean, types: List<String>, recent: List<String>, most: Integer
// returns: found: List<List<Any>>
// access: read
// index: event_run
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier) WHERE $identifiers
  WITH split(i.key, ':')[0] AS namespace, count(*) AS many, max(i.last_seen) AS seen
  RETURN collect([namespace, many, seen]) AS members
}
CALL (p) {
  UNWIND $types AS type
  MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally) WHERE t.type = type
  WITH type, sum(t.count) AS many
  RETURN collect([type, many]) AS tallies
}
CALL (p) {
  UNWIND $recent AS type
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  CALL (i, type) {
    MATCH (e:Event)
    USING INDEX e:Event(by, type, observed_at)
    WHERE e.by = i.key AND e.type = type AND e.observed_at >= 0
    WITH e.observed_at AS at ORDER BY at DESC LIMIT $most
    RETURN collect(at) AS moments
  }
  RETURN collect([type, moments]) AS runs
}
RETURN collect([
  element, p.id, p.status = 'ACTIVE', [name IN $names | p[name]], members, tallies, runs,
  [(p)-[:IN_SEGMENT]->(s:Segment) | s.name], p.due
]) AS found
