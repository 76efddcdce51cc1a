// name: event/page_back
// summary: The same as event/page, oldest first: what comes before a page. Rows: profile id, then the time and the id after the page.
// params: rows: List<List<Any>>, types: List<String>, since: Integer, until: Integer, at: Integer, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id, event_run
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})
CALL (p, row) {
  CALL (p) {
    MATCH (p)<-[now:MEMBER_OF]-(i:Identifier) WHERE now.since <= $at
    RETURN i
    UNION
    MATCH (p)<-[was:WAS_MEMBER_OF]-(i:Identifier) WHERE was.since <= $at AND was.until > $at
    RETURN i
  }
  MATCH (i)<-[:COUNTS]-(t:Tally)
  WHERE t.first < $until AND t.last >= $since AND t.last >= row[1] AND (size($types) = 0 OR t.type IN $types)
  WITH DISTINCT row, i.key AS by, t.type AS type
  CALL (row, by, type) {
    MATCH (e:Event)
    USING INDEX e:Event(by, type, observed_at)
    WHERE e.by = by AND e.type = type AND e.observed_at >= row[1] AND e.observed_at >= $since AND e.observed_at < $until
      AND (e.observed_at <> row[1] OR e.id > row[2])
    // In the index's own order, so that reading ends with the page.
    RETURN e ORDER BY e.by, e.type, e.observed_at, e.id LIMIT $limit
  }
  WITH e ORDER BY e.observed_at, e.id LIMIT $limit
  RETURN collect([e.id, e.type, e.observed_at, e.source, e.by, e.keys, e.properties]) AS items
}
RETURN collect([row[0], row[1], row[2], items]) AS found
