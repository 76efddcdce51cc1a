// name: profile/richest
// summary: An identifier of the profile that most sources know, among the largest.
// params: none
// returns: key: String
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE'
WITH p ORDER BY p.size DESC, p.id LIMIT 20
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
UNWIND split(i.sources, '\t') AS source
WITH p, count(DISTINCT source) AS sources, min(i.key) AS key
RETURN key
ORDER BY sources DESC, p.size DESC, p.id LIMIT 1
