// name: verify/segments
// summary: The segments whose members were found by their present rule at least once.
// params: none
// returns: segment: String
// access: read
// index: none
MATCH (s:Segment)
WHERE s.rule IS NOT NULL AND (s.whole_at IS NULL OR s.whole_at = s.settles_at)
RETURN s.name AS segment
