// name: profile/create
// summary: Create profiles. Rows: id, size, refused links, limited keys (null: none), observation, link, guarded (null: no).
// params: rows: List<List<Any>>, at: Integer
// returns: elements: List<String>
// access: write
// index: none
UNWIND $rows AS row
CREATE (p:Profile {
  id: row[0], status: 'ACTIVE', created_at: $at, size: row[1], version: 1, lock: 0, refused: row[2], limited: row[3],
  created_by: row[4], created_link: row[5], guarded: row[6]
})
RETURN collect(elementId(p)) AS elements
