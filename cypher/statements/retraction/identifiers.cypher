// name: retraction/identifiers
// summary: When identifiers were seen, by whom and with whom, of what is left; what it was until now is kept as batch/write does. Rows: element, first_seen, last_seen, sources, partners.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
SET i.firsts = CASE WHEN row[1] = i.first_seen THEN i.firsts ELSE coalesce(i.firsts, []) + [$at, i.first_seen] END,
    i.last_since = CASE WHEN row[2] = i.last_seen THEN i.last_since ELSE $at END,
    i.first_seen = row[1], i.last_seen = row[2], i.sources = row[3], i.partners = row[4]
