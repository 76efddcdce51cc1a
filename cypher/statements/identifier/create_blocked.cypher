// name: identifier/create_blocked
// summary: Keep junk values visible, in no profile. Rows: key, namespace, value, raw, first_seen, last_seen, sources.
// params: rows: List<List<Any>>
// returns: elements: List<String>
// access: write
// index: none
UNWIND $rows AS row
CREATE (i:Identifier {
  key: row[0], namespace: row[1], value: row[2], raw: row[3], first_seen: row[4], last_seen: row[5],
  sources: row[6], state: 'BLOCKED'
})
RETURN collect(elementId(i)) AS elements
