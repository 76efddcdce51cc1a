// name: identifier/create_blocked
// summary: Keep junk values visible, in no profile. Rows: key, raw, first_seen, last_seen, sources.
// params: rows: List<List<Any>>
// returns: elements: List<String>
// access: write
// index: none
UNWIND $rows AS row
CREATE (i:Identifier {
  key: row[0], raw: row[1], first_seen: row[2], last_seen: row[3], sources: row[4], state: 'BLOCKED'
})
RETURN collect(elementId(i)) AS elements
