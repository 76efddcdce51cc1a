// name: change/before
// summary: Who took part in changes: profile, whether it ended in one of them, its members just before, whether it is over now, and the fields that a writer knows.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: read
// index: change_id
UNWIND $ids AS id
MATCH (c:Change {id: id})-[of:OF]->(p:Profile)
WITH p, min(c.at) AS at, max(of.role = 'MERGED') AS ended
CALL (p, at) {
  MATCH (p)<-[m:MEMBER_OF|WAS_MEMBER_OF]-(i:Identifier)
  WHERE m.since < at AND (m.until IS NULL OR m.until >= at)
  RETURN collect(DISTINCT i.key) AS before
}
RETURN collect([
  p.id, ended, before, p.status <> 'ACTIVE',
  elementId(p), p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited
]) AS found
