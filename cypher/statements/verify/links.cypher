// name: verify/links
// summary: All links with their verdicts.
// params: none
// returns: id: String, a: String, b: String, kind: String, source: String, first_seen: Integer, last_seen: Integer, count: Integer, weight: Float, state: String, reason: String, parties: List<String>
// access: read
// index: none
MATCH (a:Identifier)-[l:LINK]->(b:Identifier)
RETURN l.id AS id, a.key AS a, b.key AS b, l.kind AS kind, l.source AS source, l.first_seen AS first_seen,
  l.last_seen AS last_seen, l.count AS count, l.weight AS weight, l.state AS state, l.reason AS reason, l.parties AS parties
