// name: component/cannot_links
// summary: What keeps members of these profiles apart: cannot-link, side and identifier.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[x:APART]->(c:CannotLink) WHERE c.lifted_at IS NULL
RETURN collect([c.id, x.side, i.key]) AS found
