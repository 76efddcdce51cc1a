// name: link/reassert
// summary: A person's word once more. Rows: element, actor, reason.
// params: rows: List<List<String>>, act: String, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH ()-[l:LINK]->() WHERE elementId(l) = row[0]
SET l.source = row[1], l.note = row[2], l.last_seen = $at, l.count = l.count + 1, l.act = $act, l.state = 'ACTIVE',
    l.reason = null, l.parties = null
