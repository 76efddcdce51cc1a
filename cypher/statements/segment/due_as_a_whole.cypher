// name: segment/due_as_a_whole
// summary: Segments are to be evaluated as a whole, and once more when what was being written meanwhile is written.
// params: names: List<String>, at: Integer, settles_at: Integer
// returns: none
// access: write
// index: segment_name
UNWIND $names AS name
MATCH (s:Segment {name: name})
SET s.whole_at = $at, s.settles_at = $settles_at
