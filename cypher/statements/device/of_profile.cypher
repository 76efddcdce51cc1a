// name: device/of_profile
// summary: The devices of profiles as profile/members tells them, and, where the model matched some of a profile's identifiers, the links that hold it together.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier&Device)
  RETURN collect([i.key, i.first_seen, i.last_seen, i.sources, i.state]) AS devices
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]->(j:Identifier)
  WHERE i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND l.state = 'ACTIVE'
  WITH collect(l) AS links
  RETURN CASE WHEN any(l IN links WHERE l.kind = 'MATCHED') THEN links ELSE [] END AS links
}
RETURN collect([id, devices, [l IN links | [startNode(l).key, endNode(l).key, CASE l.kind WHEN 'MATCHED' THEN l.weight END]]])
  AS found
