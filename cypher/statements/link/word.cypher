// name: link/word
// summary: A person's word on a link: both ends, who said it, when first and last and how often, and the act that said or withdrew it last.
// params: id: String
// returns: a: String, b: String, actor: String, first: Integer, last: Integer, count: Integer, act: String
// access: read
// index: link_id
MATCH (a:Identifier)-[l:LINK {id: $id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
WHERE l.kind = 'ASSERTED'
RETURN a.key AS a, b.key AS b, l.source AS actor, l.first_seen AS first, l.last_seen AS last, l.count AS count, l.act AS act
