// name: retraction/identifiers
// summary: When identifiers were seen, by whom and with whom, of what is left. Rows: element, first_seen, last_seen, sources, partners.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
SET i.first_seen = row[1], i.last_seen = row[2], i.sources = row[3], i.partners = row[4]
