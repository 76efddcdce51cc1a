// name: rules/hold
// summary: Identifiers, each with its profile and those that it was observed with; those that no profile guards are locked.
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
  i.key, elementId(i), i.state, i.partners, elementId(p),
  COLLECT {
    MATCH (i)-[l:LINK]-(j:Identifier) WHERE l.kind = 'OBSERVED' AND l.state IN ['ACTIVE', 'REFUSED'] RETURN DISTINCT j.key
  }
]) AS found
