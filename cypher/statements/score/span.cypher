// name: score/span
// summary: The types of events that there are, the most frequent first: how many of each, and when the first and the last were.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
MATCH (t:Tally)
WITH t.type AS type, sum(t.count) AS many, min(t.first) AS first, max(t.last) AS last ORDER BY many DESC, type
RETURN collect([type, many, first, last]) AS found
