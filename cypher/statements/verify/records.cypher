// name: verify/records
// summary: Records that have not just the one anchor that their key names, or whose anchor is junk.
// params: none
// returns: record: String
// access: read
// index: none
MATCH (r:Record)
OPTIONAL MATCH (r)-[:HAS]->(i:Identifier)
WITH r, collect(i) AS anchors, CASE WHEN r.record_id IS NULL THEN '#' ELSE '/' + r.record_id END AS rest
WHERE size(anchors) <> 1
  OR anchors[0].state = 'BLOCKED'
  OR (r.record_id IS NULL AND r.key <> r.source + rest + anchors[0].key)
  OR (r.record_id IS NOT NULL AND (r.key <> r.source + rest OR anchors[0].key <> 'record:' + r.key))
RETURN r.key AS record
