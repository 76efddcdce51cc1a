// name: lineage/creations
// summary: How profiles came to be: when, by which link and by which observation.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id}) WHERE p.created_by IS NOT NULL
RETURN collect([id, p.created_at, p.created_link, p.created_by]) AS found
