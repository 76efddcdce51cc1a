// name: segment/leaving
// summary: Members of a segment that do not satisfy its rule, given the contrary of that.
// params: name: String
// returns: elements: List<String>
// access: read
// index: segment_name
MATCH (s:Segment {name: $name})<-[:IN_SEGMENT]-(p:Profile)
WHERE p.status <> 'ACTIVE' OR (true /* rule */)
RETURN collect(elementId(p)) AS elements
