// name: segment/postpone
// summary: When time alone may next make profiles enter or leave. Rows: element, moment (null: never).
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[0]
SET p.due = row[1]
