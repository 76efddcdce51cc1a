// name: segment/evaluated
// summary: A segment was evaluated as a whole as it was at a moment, unless that became due again since.
// params: name: String, at: Integer
// returns: none
// access: write
// index: segment_name
MATCH (s:Segment {name: $name}) WHERE s.whole_at <= $at
SET s.whole_at = CASE WHEN $at < s.settles_at THEN s.settles_at END
