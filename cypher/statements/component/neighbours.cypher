// name: component/neighbours
// summary: The profiles on the other side of refused links: the same evidence component. Junk and shared identifiers lead nowhere.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[l:LINK]-(j:Identifier)-[:MEMBER_OF]->(other:Profile)
WHERE l.state = 'REFUSED' AND i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND other <> p
WITH DISTINCT element, other
RETURN collect([
  element, elementId(other), other.id, other.created_at, other.size, other.version, other.refused,
  other.guarded, other.limited
]) AS found
