// name: retraction/tallies
// summary: Tallies without the events that were taken back. Rows: key, identifier, type, source, count, amount. Where events were forgotten by their age, the first time stays.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: event_run, tally_key
UNWIND $rows AS row
MATCH (t:Tally {key: row[0]})
SET t.count = t.count - row[4], t.amount = t.amount - row[5]
WITH row, t
CALL (row) {
  MATCH (e:Event)
  USING INDEX e:Event(by, type, observed_at)
  WHERE e.by = row[1] AND e.type = row[2] AND e.observed_at IS NOT NULL AND e.source = row[3]
  RETURN count(e) AS many, min(e.observed_at) AS first, max(e.observed_at) AS last
}
SET t.first = CASE WHEN many = t.count THEN first ELSE t.first END, t.last = coalesce(last, t.last)
WITH t WHERE t.count = 0
DETACH DELETE t
