// name: export/members
// summary: The same of a segment's members.
// params: name: String, names: List<String>, after: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: in_segment_member
MATCH (p:Profile)-[m:IN_SEGMENT]->()
WHERE m.member > $name + '\t' + $after AND m.member STARTS WITH $name + '\t'
WITH p, m ORDER BY m.member LIMIT $limit
WITH p, m.entered AS entered, properties(p) AS shown
RETURN collect([shown.id, shown.created_at, entered, [(p)<-[:MEMBER_OF]-(i:Identifier) | i.key], [name IN $names | shown[name]]]) AS found
