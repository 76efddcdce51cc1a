// name: identifier/again
// summary: What identifier/find read of identifiers that have a profile, once more and by element.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (i:Identifier) WHERE elementId(i) = element
MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect([i.key, i.state, i.partners, p.id]) AS found
