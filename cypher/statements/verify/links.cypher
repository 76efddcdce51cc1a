// name: verify/links
// summary: All links with their verdicts, those that start in a profile in one row: id, from, to, kind, source, first_seen, last_seen, count, weight, state, reason, parties.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
CALL () {
  MATCH (p:Profile)
  CALL (p) {
    MATCH (p)<-[:MEMBER_OF]-(a:Identifier)-[l:LINK]->(b:Identifier)
    RETURN collect([
      l.id, a.key, b.key, l.kind, l.source, l.first_seen, l.last_seen, l.count, l.weight, l.state, l.reason, l.parties
    ]) AS found
  }
  RETURN found
  UNION ALL
  MATCH (a:Identifier) WHERE NOT EXISTS { (a)-[:MEMBER_OF]->(:Profile) }
  MATCH (a)-[l:LINK]->(b:Identifier)
  RETURN [[
    l.id, a.key, b.key, l.kind, l.source, l.first_seen, l.last_seen, l.count, l.weight, l.state, l.reason, l.parties
  ]] AS found
}
RETURN found
