// name: record/traits
// summary: What all records of profiles say, and people: their word has a reason.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})<-[:MEMBER_OF]-(:Identifier)<-[:HAS|OVERRIDES|SCORES]-(r)
USING INDEX SEEK p:Profile(id)
WHERE r.until IS NULL
WITH id, collect([r.source, r.observed_at, r.traits, r.key, r.reason]) AS items
RETURN collect([id, items]) AS found
