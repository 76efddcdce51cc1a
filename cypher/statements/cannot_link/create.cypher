// name: cannot_link/create
// summary: Two sides of identifiers may not meet any more. Rows: id, elements of one side, elements of the other. What it undoes is a change or an act.
// params: rows: List<List<Any>>, at: Integer, act: String, actor: String, reason: String, undoes: String
// returns: none
// access: write
// index: none
UNWIND $rows AS row
CREATE (c:CannotLink {id: row[0], at: $at, act: $act, actor: $actor, reason: $reason, undoes: $undoes})
WITH c, row
UNWIND [0, 1] AS side
UNWIND row[side + 1] AS element
MATCH (i:Identifier) WHERE elementId(i) = element
CREATE (i)-[:APART {side: side}]->(c)
