// name: link/touch
// summary: Count links that were observed again. Rows: element, first_seen, last_seen, count.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH ()-[l:LINK]->() WHERE elementId(l) = row[0]
SET l.first_seen = CASE WHEN row[1] < l.first_seen THEN row[1] ELSE l.first_seen END,
    l.last_seen = CASE WHEN row[2] > l.last_seen THEN row[2] ELSE l.last_seen END,
    l.count = l.count + row[3]
