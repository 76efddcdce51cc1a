// name: score/write
// summary: What a model says of profiles, each anchored by an identifier that is still theirs, in place of what it said before, which stays on record. What is said again is left. Rows: element, key of the identifier, traits as JSON text; the elements of those that changed.
// params: rows: List<List<String>>, source: String, at: Integer
// returns: changed: List<String>
// access: write
// index: identifier_key
UNWIND $rows AS row
MATCH (i:Identifier {key: row[1]})
MATCH (i)-[:MEMBER_OF]->(p:Profile) WHERE elementId(p) = row[0]
OPTIONAL MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:SCORES]-(old:Score {source: $source}) WHERE old.until IS NULL
WITH row, p, i, collect(old) AS olds
WHERE size(olds) <> 1 OR olds[0].traits <> row[2]
FOREACH (old IN olds | SET old.until = $at)
CREATE (:Score {key: $source + '#' + row[1], source: $source, traits: row[2], observed_at: $at})-[:SCORES]->(i)
RETURN collect(elementId(p)) AS changed
