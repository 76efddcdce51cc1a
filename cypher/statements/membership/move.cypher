// name: membership/move
// summary: Move single identifiers, closing the interval of each. Rows: identifier element, profile element.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
MATCH (i)-[m:MEMBER_OF]->(old:Profile)
CREATE (i)-[:WAS_MEMBER_OF {since: m.since, until: $at}]->(old)
DELETE m
WITH collect([i, row[1]]) AS moves
UNWIND moves AS move
WITH move[0] AS i, move[1] AS element
MATCH (p:Profile) WHERE elementId(p) = element
CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(p)
