// name: profile/revive
// summary: Profiles that ended in a merge come back, and with them the older ones that had ended in them.
// params: elements: List<String>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (p)-[merged:MERGED_INTO]->(survivor:Profile)
SET p.status = 'ACTIVE'
CREATE (p)-[:WAS_MERGED_INTO {at: merged.at, until: $at, change: merged.change}]->(survivor)
DELETE merged
WITH p
MATCH (p) ((into)<-[:OF {role: 'SURVIVOR'}]-(c:Change)-[:OF {role: 'MERGED'}]->(loser:Profile)
  WHERE EXISTS { (loser)-[ended:MERGED_INTO]->(:Profile) WHERE ended.change = c.id })+ (older:Profile)
WITH DISTINCT p, older
MATCH (older)-[old:MERGED_INTO]->(:Profile)
CREATE (older)-[:MERGED_INTO {at: old.at, change: old.change}]->(p)
DELETE old
