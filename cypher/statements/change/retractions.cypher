// name: change/retractions
// summary: Retractions of which observations of a source are still taken back, newest first. How many come before a moment and id, and the first of them.
// params: source: String, at: Integer, id: String, limit: Integer
// returns: total: Integer, found: List<List<Any>>
// access: read
// index: observation_retracted, change_act
MATCH (o:Observation)
USING INDEX o:Observation(retracted)
WHERE o.retracted IS NOT NULL AND o.source = $source
WITH DISTINCT o.retracted AS act
MATCH (c:Change {act: act})
USING INDEX c:Change(act)
WHERE c.kind = 'RETRACTED' AND (c.at < $at OR (c.at = $at AND c.id < $id))
WITH c ORDER BY c.at DESC, c.id DESC
WITH count(c) AS total, collect([c.at, c.id])[..$limit] AS found
RETURN total, found
