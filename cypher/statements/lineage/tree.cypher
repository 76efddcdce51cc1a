// name: lineage/tree
// summary: The merges that made profiles what they are: who ended, in whom, by which change, when, with how many identifiers.
// params: ids: List<String>, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
CALL (p) {
  MATCH (p) ((s:Profile)<-[:OF {role: 'SURVIVOR'}]-(c:Change)-[:OF {role: 'MERGED'}]->(l:Profile)
    WHERE EXISTS { (l)-[ended:MERGED_INTO]->(:Profile) WHERE ended.change = c.id })+ (:Profile)
  WITH DISTINCT s[-1] AS into, c[-1] AS change, l[-1] AS ended
  ORDER BY change.at DESC, change.id DESC LIMIT $limit
  RETURN collect([ended.id, into.id, change.id, change.at, size(change.moved), ended.created_at]) AS merges
}
RETURN collect([id, merges]) AS found
