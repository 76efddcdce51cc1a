// name: proposal/settle
// summary: What became of the proposals between sides of which a person said something: kept apart while a cannot-link holds, merged while an assertion does, else open. Rows: elements of one side, elements of the other.
// params: rows: List<List<List<String>>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
UNWIND row[0] AS element
MATCH (a:Identifier) WHERE elementId(a) = element
MATCH (a)-[l:LINK {kind: 'MATCHED'}]-(b:Identifier) WHERE elementId(b) IN row[1]
SET l.proposal = CASE
  WHEN l.proposal IS NULL THEN null
  WHEN EXISTS {
    MATCH (a)-[mine:APART]->(c:CannotLink)<-[theirs:APART]-(b) WHERE mine.side <> theirs.side AND c.lifted_at IS NULL
  } THEN 'KEPT_APART'
  WHEN EXISTS { (a)-[:LINK {kind: 'ASSERTED', state: 'ACTIVE'}]-(b) } THEN 'MERGED'
  WHEN l.state = 'PROPOSED' THEN 'OPEN'
END
