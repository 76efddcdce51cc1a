// name: profile/ended
// summary: Profiles as they are stored, also those that ended in another: status, and the fields that a writer knows.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
RETURN collect([p.status, elementId(p), p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited]) AS found
