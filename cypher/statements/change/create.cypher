// name: change/create
// summary: Lineage. Rows: id, kind, link id, observation id, moved keys, participants as pairs of profile element and role.
// params: rows: List<List<Any>>, at: Integer, cause: String, act: String, actor: String, reason: String, rules: String
// returns: none
// access: write
// index: none
UNWIND $rows AS row
CREATE (c:Change {
  id: row[0], kind: row[1], cause: $cause, link: row[2], observation: row[3], moved: row[4], at: $at,
  act: $act, actor: $actor, reason: $reason, rules_version: $rules
})
WITH c, row
UNWIND row[5] AS participant
MATCH (p:Profile) WHERE elementId(p) = participant[0]
CREATE (c)-[:OF {role: participant[1]}]->(p)
