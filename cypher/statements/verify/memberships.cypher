// name: verify/memberships
// summary: All memberships that are over.
// params: none
// returns: key: String, since: Integer, until: Integer, profile: String
// access: read
// index: none
MATCH (i)-[w:WAS_MEMBER_OF]->(p:Profile)
RETURN i.key AS key, w.since AS since, w.until AS until, p.id AS profile
