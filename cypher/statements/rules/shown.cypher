// name: rules/shown
// summary: A page of profiles that are somebody's, in the order of their ids: id and element.
// params: after: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
MATCH (p:Profile) WHERE p.id > $after AND p.status = 'ACTIVE'
WITH p ORDER BY p.id LIMIT $limit
RETURN collect([p.id, elementId(p)]) AS found
