// name: profile/members
// summary: Pages of profiles' identifiers in the order of their keys; their sources as a text. Rows: profile id, the key before the page.
// params: rows: List<List<String>>, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $rows AS row
MATCH (p:Profile {id: row[0]})
CALL (p, row) {
  // Without its label, as the planner would otherwise walk the index of all keys instead of the members.
  MATCH (p)<-[:MEMBER_OF]-(i) WHERE i.key > row[1]
  WITH i ORDER BY i.key LIMIT $limit
  RETURN collect([i.key, i.first_seen, i.last_seen, i.sources, i.state]) AS items
}
RETURN collect([row[0], row[1], p.size, items]) AS found
