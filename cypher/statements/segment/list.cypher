// name: segment/list
// summary: All segments by name: version, description, rule, who defined it and when, members, and when it is to be evaluated as a whole (null: never). One that is being deleted has no rule.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
MATCH (s:Segment)
WITH s ORDER BY s.name
RETURN collect([
  s.name, s.version, s.description, s.rule, s.defined_by, s.defined_at, COUNT { (s)<-[:IN_SEGMENT]-() }, s.whole_at
]) AS found
