// name: retraction/revive
// summary: Profiles that were emptied come back, each with one identifier that is observed again. Rows: profile, identifier, its key where its namespace is limited.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[0]
MATCH (i:RetractedIdentifier) WHERE elementId(i) = row[1]
REMOVE i:RetractedIdentifier
SET i:Identifier, i.was = coalesce(i.was + '\n', '') + toString($at) + '\t' + i.state + '\t' + i.sources, i.state = 'ACTIVE', i.partners = null, i.joined = p.id
SET p.status = 'ACTIVE', p.size = 1, p.limited = row[2], p.version = p.version + 1
CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(p)
