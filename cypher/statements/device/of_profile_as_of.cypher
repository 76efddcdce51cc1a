// name: device/of_profile_as_of
// summary: The same as device/of_profile, of the identifiers that were members at a moment, as profile/members_as_of tells them. The links are those that are known between them by now, also if they were refused or taken back since.
// params: ids: List<String>, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p)<-[now:MEMBER_OF]-(i:Identifier) WHERE now.since <= $at
  RETURN i
  UNION
  MATCH (p)<-[was:WAS_MEMBER_OF]-(i) WHERE was.since <= $at AND was.until > $at
  RETURN i
}
WITH id, collect(i) AS members
CALL (members) {
  UNWIND members AS i
  MATCH (i)-[l:LINK]->(j:Identifier) WHERE j IN members AND l.state <> 'PROPOSED'
  WITH collect(l) AS links
  RETURN CASE WHEN any(l IN links WHERE l.kind = 'MATCHED') THEN links ELSE [] END AS links
}
RETURN collect([
  id, [i IN members WHERE i:Device | [i.key, i.first_seen, i.last_seen, i.sources, i.state, i.was, i.firsts, i.last_since]],
  [l IN links | [startNode(l).key, endNode(l).key, CASE l.kind WHEN 'MATCHED' THEN l.weight END]]
]) AS found
