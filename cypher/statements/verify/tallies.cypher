// name: verify/tallies
// summary: Tallies that are not what the events of their identifier add up to, with those that were forgotten, or that have not just the one identifier that their key names. Of what was forgotten the times are not kept, so the tally's may then lie further apart.
// params: none
// returns: profile: String, tally: String, type: String, source: String
// access: read
// index: event_run
MATCH (t:Tally)
WITH t, [(t)-[:COUNTS]->(i:Identifier) | i] AS owners
WITH t, owners, head(owners) AS i, coalesce(t.forgotten, 0) AS gone, coalesce(t.forgotten_amount, 0) AS gone_amount
CALL (t, i) {
  MATCH (e:Event)
  USING INDEX e:Event(by, type, observed_at)
  WHERE e.by = i.key AND e.type = t.type AND e.observed_at IS NOT NULL AND e.source = t.source
  RETURN count(e) AS many, min(e.observed_at) AS first, max(e.observed_at) AS last, sum(e.amount) AS amount
}
WITH t, i, owners, gone, gone_amount, many, first, last, amount
WHERE size(owners) <> 1
  OR t.key <> i.key + '\t' + t.type + '\t' + t.source
  OR t.count <> many + gone
  OR t.amount <> amount + gone_amount
  OR many + gone = 0
  OR first < t.first
  OR last > t.last
  OR (gone = 0 AND (first <> t.first OR last <> t.last))
RETURN head([(i)-[:MEMBER_OF]->(p:Profile) | p.id]) AS profile, t.key AS tally, t.type AS type, t.source AS source
