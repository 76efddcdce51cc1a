// name: lineage/changes
// summary: Changes with their causes and participants, each with the link that brought it about as link/details tells that, but what the model said of it then.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: change_id, link_id
UNWIND $ids AS id
MATCH (c:Change {id: id})
OPTIONAL MATCH (a:Identifier)-[l:LINK {id: c.link}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
RETURN collect([
  c.id, c.kind, c.at, c.cause, c.link, c.observation, c.actor, c.reason, coalesce(c.model, c.rules_version), c.moved,
  [(c)-[of:OF]->(p:Profile) | [p.id, of.role]],
  CASE WHEN l IS NOT NULL THEN [
    l.id, a.key, b.key, l.kind, coalesce(c.matched_by, l.source), l.state, l.first_seen, l.last_seen, l.count,
    coalesce(c.weight, l.weight), l.reason, l.parties, coalesce(c.probability, l.probability), coalesce(c.levels, l.levels)
  ] END
]) AS found
