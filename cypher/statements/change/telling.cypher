// name: change/telling
// summary: A merge that a link brought about, of some four identifiers where there is such a one: its moment, an identifier that stayed and one that moved then and is still there, and the link with its source.
// params: none
// returns: at: Integer, stayed: String, moved: String, a: String, b: String, source: String
// access: read
// index: link_id
MATCH (c:Change) WHERE c.kind = 'MERGED' AND c.cause = 'LINK' AND size(c.moved) > 0
WITH c ORDER BY abs(size(c.moved) - 4), c.id LIMIT 1000
MATCH (c)-[of:OF]->(p:Profile) WHERE of.role = 'SURVIVOR'
MATCH (p)<-[m:MEMBER_OF]-(i:Identifier)
WITH c, min(CASE WHEN m.since < c.at THEN i.key END) AS stayed, min(CASE WHEN i.key IN c.moved THEN i.key END) AS moved
WHERE stayed IS NOT NULL AND moved IS NOT NULL
WITH c, stayed, moved ORDER BY abs(size(c.moved) - 4), c.id LIMIT 100
MATCH (a:Identifier)-[l:LINK {id: c.link}]->(b:Identifier)
USING INDEX SEEK l:LINK(id)
RETURN c.at AS at, stayed, moved, a.key AS a, b.key AS b, l.source AS source
ORDER BY abs(size(c.moved) - 4), c.id LIMIT 1
