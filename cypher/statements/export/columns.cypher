// name: export/columns
// summary: The properties that profiles show of their golden record, each with the types of its values.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE'
UNWIND [name IN keys(p) WHERE name STARTS WITH 'trait:'] AS name
WITH name, collect(DISTINCT valueType(p[name])) AS types ORDER BY name
RETURN collect([name, types]) AS found
