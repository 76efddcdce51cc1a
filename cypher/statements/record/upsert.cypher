// name: record/upsert
// summary: Keep each record's newest row; of two rows of one moment the greater digest wins, so order never matters. What it said before is kept with the time in which it stood. Rows: key, source, record_id, traits, observed_at, digest, anchor element.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: record_key
UNWIND $rows AS row
MERGE (r:Record {key: row[0]})
ON CREATE SET r.source = row[1], r.record_id = row[2], r.observed_at = -1, r.digest = ''
WITH row, r, row[4] > r.observed_at OR (row[4] = r.observed_at AND row[5] > r.digest) AS newer
FOREACH (_ IN CASE WHEN newer AND r.since < $at THEN [1] ELSE [] END |
  CREATE (r)-[:WAS]->(:RecordVersion {traits: r.traits, observed_at: r.observed_at, since: r.since, until: $at})
)
FOREACH (_ IN CASE WHEN newer THEN [1] ELSE [] END |
  SET r.traits = row[3], r.observed_at = row[4], r.digest = row[5], r.since = $at
)
WITH row, r
MATCH (i:Identifier) WHERE elementId(i) = row[6]
MERGE (r)-[:HAS]->(i)
