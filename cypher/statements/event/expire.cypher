// name: event/expire
// summary: Forget what events of a type before a moment were, of the identifiers whose tallies follow a key; the observations stay, so that none can come again, and so do the tallies, which say how much of what they count is forgotten. Returns the last key that was looked at (null: none), how many were forgotten, and of which identifiers.
// params: type: String, before: Integer, after: String, tallies: Integer, limit: Integer
// returns: last: String, forgotten: Integer, keys: List<String>
// access: write
// index: tally_key, event_run
MATCH (t:Tally) WHERE t.key > $after AND t.type = $type
WITH t ORDER BY t.key LIMIT $tallies
WITH collect(t) AS looked
CALL (looked) {
  UNWIND looked AS t
  WITH t WHERE t.first < $before
  MATCH (t)-[:COUNTS]->(i:Identifier)
  WITH DISTINCT i.key AS by
  MATCH (e:Event)
  USING INDEX e:Event(by, type, observed_at)
  WHERE e.by = by AND e.type = $type AND e.observed_at < $before
  WITH e LIMIT $limit
  WITH e.by AS by, e.by + '\t' + e.type + '\t' + e.source AS key, collect(e) AS gone, sum(e.amount) AS amount
  MATCH (t:Tally {key: key})
  SET t.forgotten = coalesce(t.forgotten, 0) + size(gone), t.forgotten_amount = coalesce(t.forgotten_amount, 0) + amount
  WITH by, gone
  UNWIND gone AS e
  REMOVE e:Event, e.by, e.type, e.properties, e.amount
  RETURN count(e) AS forgotten, collect(DISTINCT by) AS keys
}
RETURN looked[-1].key AS last, forgotten, keys
