// name: link/asserted
// summary: Those of these links that a person asserted: both ends, who said so, and the last change that it brought about of a profile of an end or of one that ended there (null: none).
// params: ids: List<String>
// returns: found: List<List<String>>
// access: read
// index: link_id
UNWIND $ids AS id
MATCH (a:Identifier)-[l:LINK {id: id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
WHERE l.kind = 'ASSERTED'
CALL (a, b, l) {
  UNWIND [a, b] AS end
  MATCH (end)-[:MEMBER_OF]->(p:Profile)
  UNWIND [p] + [(p)<-[:MERGED_INTO]-(one:Profile) | one] AS party
  MATCH (party)<-[:OF]-(c:Change)
  WHERE c.kind IN ['MERGED', 'LINK_ASSERTED'] AND c.link = l.id
  WITH c ORDER BY c.at DESC, c.id DESC LIMIT 1
  RETURN collect(c.id) AS changes
}
RETURN collect([a.key, b.key, l.source, head(changes)]) AS found
