// name: score/elements
// summary: The elements of those profiles that still stand for somebody.
// params: ids: List<String>
// returns: found: List<List<String>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id}) WHERE p.status = 'ACTIVE'
RETURN collect([id, elementId(p)]) AS found
