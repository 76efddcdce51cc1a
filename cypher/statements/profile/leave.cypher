// name: profile/leave
// summary: Identifiers leave their profiles and are nobody's any more; profiles that hold nobody are erased.
// params: identifiers: List<String>, emptied: List<String>, at: Integer
// returns: none
// access: write
// index: none
CALL () {
  UNWIND $identifiers AS element
  MATCH (i:Identifier) WHERE elementId(i) = element
  MATCH (i)-[m:MEMBER_OF]->(p:Profile)
  CREATE (i)-[:WAS_MEMBER_OF {since: m.since, until: $at}]->(p)
  DELETE m
  SET i.joined = null
}
CALL () {
  UNWIND $emptied AS element
  MATCH (p:Profile) WHERE elementId(p) = element
  SET p.status = 'ERASED', p.size = 0, p.refused = 0, p.limited = null, p.guarded = null, p.version = p.version + 1
}
