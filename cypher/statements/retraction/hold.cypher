// name: retraction/hold
// summary: Identifiers, each with its profile, and whether a person's word names it; those that no profile guards are locked.
// params: keys: List<String>
// returns: found: List<List<Any>>
// access: write
// index: identifier_key
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
FOREACH (_ IN CASE WHEN i.state = 'ACTIVE' THEN [] ELSE [1] END | SET i.lock = 0)
WITH i
OPTIONAL MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect([
  i.key, elementId(i), i.state, i.sources, elementId(p),
  EXISTS { (i)-[:APART]->(:CannotLink) } OR EXISTS { (i)<-[:OVERRIDES]-(:Override) }
  OR EXISTS { (i)-[l:LINK]-(:Identifier) WHERE l.kind = 'ASSERTED' AND l.state <> 'RETRACTED' }
]) AS found
