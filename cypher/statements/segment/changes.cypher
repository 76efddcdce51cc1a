// name: segment/changes
// summary: A page of who entered and left a segment, the latest first.
// params: name: String, before: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: segment_change_place
MATCH (c:SegmentChange)
WHERE c.place < $name + '\t' + $before AND c.place STARTS WITH $name + '\t'
WITH c ORDER BY c.place DESC LIMIT $limit
RETURN collect([substring(c.place, size($name) + 1), c.profile, c.kind, c.at]) AS found
