// name: link/refusals
// summary: How many links are refused for each reason, with one of them, the most frequent reason first.
// params: none
// returns: reason: String, links: Integer, a: String, b: String, source: String, parties: List<String>
// access: read
// index: link_id
MATCH (a:Identifier)-[l:LINK]->(b:Identifier) WHERE l.state = 'REFUSED'
WITH l.reason AS reason, count(*) AS links, min(l.id) AS id
MATCH (a:Identifier)-[l:LINK {id: id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
RETURN reason, links, a.key AS a, b.key AS b, l.source AS source, l.parties AS parties
ORDER BY links DESC
