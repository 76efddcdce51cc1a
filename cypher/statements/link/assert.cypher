// name: link/assert
// summary: A person's word that two identifiers belong together. Rows: from element, to element, id, actor, reason.
// params: rows: List<List<String>>, act: String, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (a:Identifier) WHERE elementId(a) = row[0]
MATCH (b:Identifier) WHERE elementId(b) = row[1]
CREATE (a)-[:LINK {
  id: row[2], kind: 'ASSERTED', source: row[3], note: row[4], first_seen: $at, last_seen: $at, count: 1, state: 'ACTIVE', act: $act
}]->(b)
