// name: export/columns
// summary: The properties that profiles show of their golden record, each with a type of its values, as often as it has several.
// params: none
// returns: found: List<List<String>>
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE'
// A map holds what would else be looked for in the profile, name by name. Most profiles are like many others.
WITH properties(p) AS shown
WITH DISTINCT [name IN keys(shown) WHERE name STARTS WITH 'trait:' | [name, valueType(shown[name])]] AS shape
UNWIND shape AS column
RETURN collect(DISTINCT column) AS found
