// name: segment/of_profiles_as_of
// summary: The same as segment/of_profiles at a moment, from who entered and left.
// params: ids: List<String>, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: segment_change_profile
UNWIND $ids AS id
MATCH (c:SegmentChange {profile: id}) WHERE c.at <= $at
WITH id, c ORDER BY c.segment, c.place DESC
WITH id, c.segment AS segment, collect([c.kind, c.at])[0] AS last
WHERE last[0] = 'ENTERED'
WITH id, collect([segment, last[1]]) AS items
RETURN collect([id, items]) AS found
