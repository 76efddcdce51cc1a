// name: event/tally
// summary: Count events. The transaction holds their identifiers, and so these tallies; one that counts no others is new. Rows: key, identifier element, type, source, count, first, last, amount.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: tally_key
UNWIND $rows AS row
MERGE (t:Tally {key: row[0]})
ON CREATE SET t.type = row[2], t.source = row[3], t.count = 0, t.first = row[5], t.last = row[6], t.amount = 0
SET t.count = t.count + row[4], t.amount = t.amount + row[7],
    t.first = CASE WHEN row[5] < t.first THEN row[5] ELSE t.first END,
    t.last = CASE WHEN row[6] > t.last THEN row[6] ELSE t.last END
WITH t, row WHERE t.count = row[4]
MATCH (i:Identifier) WHERE elementId(i) = row[1]
CREATE (t)-[:COUNTS]->(i)
