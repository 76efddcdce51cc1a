// name: profile/state
// summary: The properties of profiles, each by the id that was asked for; an id that was merged away leads to its survivor.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (asked:Profile {id: id})
OPTIONAL MATCH (asked)-[:MERGED_INTO]->(survivor:Profile)
WITH id, coalesce(survivor, asked) AS p
RETURN collect([id, p.id, p.status, p.version, p.size, p.created_at]) AS found
