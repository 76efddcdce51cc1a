// name: proposal/find
// summary: A proposal by its id, with its ends and the profiles that hold them.
// params: id: String
// returns: id: String, status: String, a: String, b: String
// access: read
// index: link_id
MATCH (a:Identifier)-[l:LINK {id: $id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
WHERE l.proposal IS NOT NULL
RETURN l.id AS id, l.proposal AS status, a.key AS a, b.key AS b
