// name: segment/versions
// summary: All definitions that a segment of this name ever had, the latest first.
// params: name: String
// returns: found: List<List<Any>>
// access: read
// index: segment_version
MATCH (v:SegmentVersion) WHERE v.key STARTS WITH $name + '\t'
WITH v ORDER BY v.version DESC
RETURN collect([v.version, v.description, v.rule, v.defined_by, v.defined_at]) AS found
