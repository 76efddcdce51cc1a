// name: profile/update
// summary: What profiles hold after a change. Rows: element, size, refused links, limited keys (null: none), guarded (null: no).
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[0]
SET p.size = row[1], p.refused = row[2], p.limited = row[3], p.guarded = row[4], p.version = p.version + 1
