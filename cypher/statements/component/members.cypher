// name: component/members
// summary: The members of profiles.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (i:Identifier)-[:MEMBER_OF]->(p)
RETURN collect([element, elementId(i), i.key, i.first_seen, i.state]) AS found
