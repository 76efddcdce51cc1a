// name: profile/entomb
// summary: Turn profiles that lost their id into tombstones, and point every older tombstone at today's survivor. Rows: loser element, survivor element, change id.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (loser:Profile) WHERE elementId(loser) = row[0]
MATCH (survivor:Profile) WHERE elementId(survivor) = row[1]
SET loser.status = 'MERGED', loser.size = 0, loser.refused = 0, loser.limited = null, loser.version = loser.version + 1
CREATE (loser)-[:MERGED_INTO {at: $at, change: row[2]}]->(survivor)
WITH loser, survivor
MATCH (older:Profile)-[old:MERGED_INTO]->(loser)
CREATE (older)-[:MERGED_INTO {at: old.at, change: old.change}]->(survivor)
DELETE old
