// name: record/traits
// summary: What all records of profiles say.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})<-[:MEMBER_OF]-(:Identifier)<-[:HAS]-(r:Record)
USING INDEX SEEK p:Profile(id)
WITH id, collect([r.source, r.observed_at, r.traits, r.key]) AS items
RETURN collect([id, items]) AS found
