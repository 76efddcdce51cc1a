// name: lineage/changes
// summary: Changes with their causes and participants.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: change_id
UNWIND $ids AS id
MATCH (c:Change {id: id})
OPTIONAL MATCH (c)-[of:OF]->(p:Profile)
WITH c, p, of ORDER BY of.role, p.id
WITH c, collect([p.id, of.role]) AS participants
RETURN collect([
  c.id, c.kind, c.at, c.cause, c.link, c.observation, c.actor, c.reason, coalesce(c.model, c.rules_version), c.moved, participants
]) AS found
