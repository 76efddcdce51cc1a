// name: rules/erased
// summary: The profile that each identifier, which is nobody's, was in last, where nobody else is left in it: element of the identifier, id of the profile.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (i:Identifier) WHERE elementId(i) = element
MATCH (i)-[was:WAS_MEMBER_OF]->(p:Profile)
WITH element, p, was ORDER BY was.until DESC
WITH element, head(collect(p)) AS p WHERE p.status = 'ERASED'
RETURN collect([element, p.id]) AS found
