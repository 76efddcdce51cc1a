// name: segment/retire
// summary: Take a segment's rule away: it is being deleted.
// params: name: String, at: Integer
// returns: none
// access: write
// index: segment_name
MATCH (s:Segment {name: $name})
SET s.rule = null, s.whole_at = $at
