// name: profile/strongest
// summary: Profiles to which the ids lead, with their elements, versions and sizes, and every identifier that is one person's.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (asked:Profile {id: id})
OPTIONAL MATCH (asked)-[:MERGED_INTO]->(survivor:Profile)
WITH id, coalesce(survivor, asked) AS p
RETURN collect([
  id, p.id, elementId(p), p.version, p.size,
  [(i:Identifier)-[:MEMBER_OF]->(p) WHERE i.state = 'ACTIVE' | [i.key, i.first_seen]]
]) AS found
