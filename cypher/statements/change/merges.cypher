// name: change/merges
// summary: Merges that links brought about, newest first: of a source, a model, an identifier, a time (null: any), and that are not undone. How many come before a moment and id, and the first of them.
// params: source: String, model: String, key: String, since: Integer, until: Integer, at: Integer, id: String, limit: Integer
// returns: total: Integer, found: List<List<Any>>
// access: read
// index: link_id, cannot_link_undoes
MATCH (c:Change)
WHERE c.kind = 'MERGED' AND c.cause = 'LINK' AND (c.at < $at OR (c.at = $at AND c.id < $id))
  AND ($since IS NULL OR c.at >= $since) AND ($until IS NULL OR c.at < $until)
  AND ($model IS NULL OR c.matched_by = $model)
WITH c, c.link AS link
MATCH (a:Identifier)-[l:LINK {id: link}]->(b:Identifier)
WHERE ($source IS NULL OR (l.kind = 'OBSERVED' AND l.source = $source))
  AND ($key IS NULL OR a.key = $key OR b.key = $key)
WITH c WHERE NOT EXISTS { MATCH (w:CannotLink {undoes: c.id}) WHERE w.lifted_at IS NULL }
WITH c ORDER BY c.at DESC, c.id DESC
WITH count(c) AS total, collect([c.at, c.id])[..$limit] AS found
RETURN total, found
