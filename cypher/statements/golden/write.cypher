// name: golden/write
// summary: Set what profiles show of their golden record. Rows: element, properties by name (null: none).
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[0]
SET p += row[1]
