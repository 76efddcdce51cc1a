// name: event/declared
// summary: What is declared to be counted of the events of profiles. Asked: pairs of a type (empty: every one) and a moment since when (null: ever, by the tallies, which keep what was forgotten). For each pair, by its number, of who has such events: how many, the sum of their amounts, and when the last one was.
// params: ids: List<String>, asked: List<List<Any>>
// returns: found: List<List<Any>>
// access: read
// index: profile_id, event_run
UNWIND $ids AS id
MATCH (p:Profile {id: id})
USING INDEX SEEK p:Profile(id)
CALL (p) {
  UNWIND range(0, size($asked) - 1) AS n
  WITH p, n, $asked[n][0] AS wanted, $asked[n][1] AS since
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)<-[:COUNTS]-(t:Tally)
  WHERE wanted IN ['', t.type] AND (since IS NULL OR t.last >= since)
  WITH n, since, i.key AS by, t.type AS type, sum(t.count) AS many, sum(t.amount) AS amount, max(t.last) AS last
  CALL (since, by, type, many, amount, last) {
    WITH since, many, amount, last WHERE since IS NULL
    RETURN many AS counted, amount AS summed, last AS latest
    UNION ALL
    MATCH (e:Event)
    USING INDEX e:Event(by, type, observed_at)
    WHERE e.by = by AND e.type = type AND e.observed_at >= since
    RETURN count(e) AS counted, sum(e.amount) AS summed, max(e.observed_at) AS latest
  }
  WITH n, sum(counted) AS many, sum(summed) AS amount, max(latest) AS last WHERE many > 0
  RETURN collect([n, many, amount, last]) AS sums
}
RETURN collect([id, sums]) AS found
