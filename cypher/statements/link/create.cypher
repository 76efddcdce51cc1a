// name: link/create
// summary: Create links that cannot exist yet, since one of their ends is new. Rows: from element, to element, id, kind, source, first_seen, last_seen, count, state, reason, parties.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (a:Identifier) WHERE elementId(a) = row[0]
MATCH (b:Identifier) WHERE elementId(b) = row[1]
CREATE (a)-[:LINK {
  id: row[2], kind: row[3], source: row[4], first_seen: row[5], last_seen: row[6], count: row[7], state: row[8],
  reason: row[9], parties: row[10]
}]->(b)
