// name: segment/define
// summary: A segment's new definition; the earlier ones stay.
// params: name: String, version: Integer, description: String, rule: String, actor: String, at: Integer
// returns: none
// access: write
// index: segment_name, segment_version
MERGE (s:Segment {name: $name})
SET s.version = $version, s.description = $description, s.rule = $rule, s.defined_by = $actor, s.defined_at = $at
MERGE (v:SegmentVersion {key: $name + '\t' + $version})
SET v.name = $name, v.version = $version, v.description = $description, v.rule = $rule, v.defined_by = $actor,
    v.defined_at = $at
