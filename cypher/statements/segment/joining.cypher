// name: segment/joining
// summary: Profiles that satisfy a rule and are no members of the segment.
// params: name: String
// returns: elements: List<String>
// access: read
// index: segment_name
MATCH (s:Segment {name: $name})
MATCH (p:Profile) WHERE p.status = 'ACTIVE' AND (true /* rule */) AND NOT EXISTS { (p)-[:IN_SEGMENT]->(s) }
CALL (p) { RETURN true AS holds /* sums */ }
RETURN collect(elementId(p)) AS elements
