// name: segment/delete
// summary: Delete a segment that has no rule and no members any more. Its history stays.
// params: name: String
// returns: none
// access: write
// index: segment_name
MATCH (s:Segment {name: $name})
WHERE s.rule IS NULL AND NOT EXISTS { (s)<-[:IN_SEGMENT]-() }
DELETE s
