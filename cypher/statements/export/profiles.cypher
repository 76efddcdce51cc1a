// name: export/profiles
// summary: Profiles in the order of their ids, with their identifiers and what they show of some properties. A member's row also says since when; here it is null.
// params: names: List<String>, after: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
MATCH (p:Profile) WHERE p.id > $after AND p.status = 'ACTIVE'
WITH p ORDER BY p.id LIMIT $limit
WITH p, properties(p) AS shown
RETURN collect([shown.id, shown.created_at, null, [(p)<-[:MEMBER_OF]-(i:Identifier) | i.key], [name IN $names | shown[name]]]) AS found
