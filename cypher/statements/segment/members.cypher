// name: segment/members
// summary: A page of a segment's members in the order of their ids, and how many there are.
// params: name: String, after: String, limit: Integer
// returns: total: Integer, found: List<List<Any>>
// access: read
// index: segment_name, in_segment_member
MATCH (s:Segment {name: $name})
CALL (s) {
  MATCH ()-[m:IN_SEGMENT]->()
  WHERE m.member > $name + '\t' + $after AND m.member STARTS WITH $name + '\t'
  WITH m ORDER BY m.member LIMIT $limit
  RETURN collect([substring(m.member, size($name) + 1), m.entered]) AS found
}
RETURN COUNT { (s)<-[:IN_SEGMENT]-() } AS total, found
