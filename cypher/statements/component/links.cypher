// name: component/links
// summary: The links that start at unshared members of profiles; those that end outside the component are the caller's to drop.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]->(j:Identifier)
WHERE i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND l.state IN ['ACTIVE', 'REFUSED']
RETURN collect([
  elementId(l), l.id, i.key, j.key, l.kind, l.source, l.first_seen, l.last_seen, l.count, l.weight, l.state, l.reason, l.parties
]) AS found
