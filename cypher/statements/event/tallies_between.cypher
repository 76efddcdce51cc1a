// name: event/tallies_between
// summary: The same as event/tallies, of the identifiers that were members at a moment, counted from the events that are kept, since a moment. When an identifier that was seen since was seen last before is not kept: null then.
// params: ids: List<String>, since: Integer, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id, event_run
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p)<-[now:MEMBER_OF]-(i:Identifier) WHERE now.since <= $at
  RETURN i
  UNION
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i:Identifier) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
CALL (i) {
  OPTIONAL MATCH (i)<-[:COUNTS]-(t:Tally) WHERE t.first <= $at AND t.last >= $since
  WITH DISTINCT i.key AS by, t.type AS type WHERE type IS NOT NULL
  MATCH (e:Event)
  USING INDEX e:Event(by, type, observed_at)
  WHERE e.by = by AND e.type = type AND e.observed_at >= $since AND e.observed_at <= $at
  WITH e.type AS type, e.source AS source, count(e) AS many, min(e.observed_at) AS first, max(e.observed_at) AS last,
    sum(e.amount) AS amount
  RETURN collect([type, source, many, first, last, amount]) AS tallies
}
WITH id, tallies, CASE WHEN i.first_seen <= $at THEN i.first_seen END AS first, i.last_seen AS last
WITH id, min(first) AS first, max(last) AS last, reduce(all = [], some IN collect(tallies) | all + some) AS tallies
RETURN collect([id, first, CASE WHEN last <= $at THEN last END, tallies]) AS found
