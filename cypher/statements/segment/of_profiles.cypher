// name: segment/of_profiles
// summary: The segments that profiles are members of, by name, and since when.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})-[m:IN_SEGMENT]->(s:Segment)
USING INDEX SEEK p:Profile(id)
WITH id, s, m ORDER BY s.name
WITH id, collect([s.name, m.entered]) AS items
RETURN collect([id, items]) AS found
