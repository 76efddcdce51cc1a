// name: membership/absorb
// summary: Move all members of losing profiles to their survivors, closing the interval of each. Rows: loser element, survivor element.
// params: rows: List<List<String>>, at: Integer
// returns: moved: List<List<Any>>
// access: write
// index: none
UNWIND $rows AS row
MATCH (loser:Profile) WHERE elementId(loser) = row[0]
MATCH (survivor:Profile) WHERE elementId(survivor) = row[1]
CALL (loser, survivor) {
  MATCH (i:Identifier)-[m:MEMBER_OF]->(loser)
  CREATE (i)-[:WAS_MEMBER_OF {since: m.since, until: $at}]->(loser)
  DELETE m
  WITH survivor, collect(i) AS members
  UNWIND members AS i
  CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(survivor)
  RETURN collect(i.key) AS keys
}
RETURN collect([row[0], keys]) AS moved
