// name: link/judge
// summary: Let links conduct or refuse them with a reason. Rows: element, state, reason, parties.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH ()-[l:LINK]->() WHERE elementId(l) = row[0]
SET l.state = row[1], l.reason = row[2], l.parties = row[3]
