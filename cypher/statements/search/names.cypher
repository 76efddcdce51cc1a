// name: search/names
// summary: Profiles by the words of their names and e-mail addresses, best first, by the full-text index profile_names: id, first, middle, last and full name, e-mail address.
// params: query: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: none
CALL db.index.fulltext.queryNodes('profile_names', $query, {limit: $limit}) YIELD node AS p, score
WITH p, score WHERE p.status = 'ACTIVE'
WITH p ORDER BY score DESC, p.id
RETURN collect([
  p.id, p.`trait:first_name`, p.`trait:middle_name`, p.`trait:last_name`, coalesce(p.`trait:full_name`, p.`trait:name`),
  p.`trait:email`
]) AS found
