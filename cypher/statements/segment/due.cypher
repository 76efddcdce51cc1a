// name: segment/due
// summary: Some profiles that time alone may have made enter or leave by now.
// params: now: Integer, limit: Integer
// returns: elements: List<String>
// access: read
// index: profile_due
MATCH (p:Profile) WHERE p.due <= $now
WITH p LIMIT $limit
RETURN collect(elementId(p)) AS elements
