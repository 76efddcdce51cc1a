// name: cannot_link/create
// summary: A person's word that two identifiers are never one person's. Rows: from element, to element, id, actor, reason.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (a:Identifier) WHERE elementId(a) = row[0]
MATCH (b:Identifier) WHERE elementId(b) = row[1]
CREATE (a)-[:CANNOT_LINK {id: row[2], actor: row[3], reason: row[4], at: $at}]->(b)
