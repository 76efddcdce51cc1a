// name: match/create
// summary: What the model says of two records for the first time. Rows: from element, to element, id, record a, record b, version, weight, probability, levels, state, reason, parties, proposal.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (a:Identifier) WHERE elementId(a) = row[0]
MATCH (b:Identifier) WHERE elementId(b) = row[1]
CREATE (a)-[:LINK {
  id: row[2], kind: 'MATCHED', record_a: row[3], record_b: row[4], source: row[5], weight: row[6], probability: row[7],
  levels: row[8], state: row[9], reason: row[10], parties: row[11], proposal: row[12],
  first_seen: $at, last_seen: $at, count: 1
}]->(b)
