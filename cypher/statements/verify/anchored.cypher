// name: verify/anchored
// summary: Scores that have not just the one anchor that their key names, and overrides that have not just one.
// params: none
// returns: kind: String, key: String
// access: read
// index: none
CALL () {
  MATCH (s:Score)
  WITH s, [(s)-[:SCORES]->(i) | i.key] AS anchors
  WHERE size(anchors) <> 1 OR s.key <> s.source + '#' + anchors[0]
  RETURN 'score' AS kind, s.key AS key
  UNION ALL
  MATCH (o:Override) WHERE COUNT { (o)-[:OVERRIDES]->() } <> 1
  RETURN 'override' AS kind, o.key AS key
}
RETURN kind, key
