// name: verify/late
// summary: Profiles by element, with whether time has made them due by a moment.
// params: elements: List<String>, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
RETURN collect([p.id, coalesce(p.due <= $at, false)]) AS found
