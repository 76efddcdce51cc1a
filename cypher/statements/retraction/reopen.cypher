// name: retraction/reopen
// summary: Identifiers that are shared no more: their links to people are as if just refused, so that whoever is on the other side is looked at as well. Rows: element, partners.
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
SET i.state = 'ACTIVE', i.partners = row[1]
WITH collect(i) AS opened
CALL (opened) {
  UNWIND opened AS i
  MATCH (i)-[l:LINK]-(j:Identifier) WHERE l.reason = 'SHARED_IDENTIFIER' AND j.state = 'SHARED'
  SET l.parties = [j.key]
}
UNWIND opened AS i
MATCH (i)-[l:LINK]-(j:Identifier) WHERE l.state = 'REFUSED' AND j.state = 'ACTIVE'
WITH DISTINCT l
UNWIND [startNode(l), endNode(l)] AS end
MATCH (end)-[:MEMBER_OF]->(p:Profile)
WITH p, count(*) AS many ORDER BY elementId(p)
SET p.lock = 0
SET p.refused = p.refused + many
