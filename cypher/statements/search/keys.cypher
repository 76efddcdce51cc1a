// name: search/keys
// summary: Some identifiers whose keys begin with one of these, each with its profile and that one's first, middle, last and full name. Those of nobody in particular are left out.
// params: prefixes: List<String>, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
UNWIND $prefixes AS prefix
CALL (prefix) {
  MATCH (i:Identifier) WHERE i.key STARTS WITH prefix
  RETURN i ORDER BY i.key LIMIT $limit
}
WITH DISTINCT i WHERE i.state = 'ACTIVE'
MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect([
  i.key, p.id, p.`trait:first_name`, p.`trait:middle_name`, p.`trait:last_name`,
  coalesce(p.`trait:full_name`, p.`trait:name`)
]) AS found
