// name: retraction/of_link
// summary: How many observations support an observed link, and some of them. It looks at all observations there are.
// params: id: String, limit: Integer
// returns: total: Integer, ids: List<String>
// access: read
// index: link_id
MATCH (a:Identifier)-[l:LINK {id: $id}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
WITH l.source AS source, a.key AS a, b.key AS b
MATCH (o:Observation)
WHERE o.source = source AND o.retracted IS NULL AND a IN split(o.keys, '\t') AND b IN split(o.keys, '\t')
WITH o ORDER BY o.id
RETURN count(o) AS total, collect(o.id)[..$limit] AS ids
