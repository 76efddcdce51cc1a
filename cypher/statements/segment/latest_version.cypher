// name: segment/latest_version
// summary: The latest version that a segment of this name ever had; it is counted on where a name is used again.
// params: name: String
// returns: version: Integer
// access: read
// index: segment_version
MATCH (v:SegmentVersion) WHERE v.key STARTS WITH $name + '\t'
RETURN coalesce(max(v.version), 0) AS version
