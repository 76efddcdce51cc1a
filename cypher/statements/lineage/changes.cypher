// name: lineage/changes
// summary: Changes with their causes and participants.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: change_id
UNWIND $ids AS id
MATCH (c:Change {id: id})
RETURN collect([
  c.id, c.kind, c.at, c.cause, c.link, c.observation, c.actor, c.reason, coalesce(c.model, c.rules_version), c.moved,
  [(c)-[of:OF]->(p:Profile) | [p.id, of.role]]
]) AS found
