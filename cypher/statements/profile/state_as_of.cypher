// name: profile/state_as_of
// summary: Profiles as they were at a moment. Where one was merged by then, only the survivor of that merge, to be asked for in turn.
// params: ids: List<String>, at: Integer
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id}) WHERE p.created_at <= $at
OPTIONAL MATCH (p)-[merged:MERGED_INTO|WAS_MERGED_INTO]->(:Profile)
  WHERE merged.at <= $at AND (merged.until IS NULL OR merged.until > $at)
OPTIONAL MATCH (:Change {id: merged.change})-[:OF {role: 'SURVIVOR'}]->(survivor:Profile)
WITH p, survivor,
  COUNT { (p)<-[now:MEMBER_OF]-(:Identifier) WHERE now.since <= $at }
  + COUNT { (p)<-[was:WAS_MEMBER_OF]-() WHERE was.since <= $at AND was.until > $at } AS size
RETURN collect([
  p.id, survivor.id, [p.id, CASE WHEN size = 0 THEN 'ERASED' ELSE 'ACTIVE' END, p.version, size, p.created_at]
]) AS found
