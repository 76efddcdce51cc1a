// name: rules/admit
// summary: Identifiers that are junk no more become members of profiles, new or erased ones. Rows: id of the profile, elements of its identifiers, limited keys, keys, id of the change that tells it.
// params: rows: List<List<Any>>, at: Integer, act: String, actor: String, reason: String, rules: String
// returns: none
// access: write
// index: profile_id
UNWIND $rows AS row
MERGE (p:Profile {id: row[0]})
ON CREATE SET p.created_at = $at, p.version = 0, p.lock = 0
SET p.status = 'ACTIVE', p.size = size(row[1]), p.refused = 0, p.limited = row[2], p.version = p.version + 1
CREATE (:Change {
  id: row[4], kind: 'UNBLOCKED', cause: 'RULES', at: $at, act: $act, actor: $actor, reason: $reason, moved: row[3],
  rules_version: $rules
})-[:OF {role: CASE p.version WHEN 1 THEN 'CREATED' ELSE 'RESTORED' END}]->(p)
WITH p, row
UNWIND row[1] AS element
MATCH (i:Identifier) WHERE elementId(i) = element
FOREACH (_ IN CASE WHEN EXISTS { (i)-[:APART]->(c:CannotLink) WHERE c.lifted_at IS NULL } THEN [1] ELSE [] END |
  SET p.guarded = true
)
SET i.joined = p.id
CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(p)
