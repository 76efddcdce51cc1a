// name: verify/observations
// summary: Observations of which an identifier is missing.
// params: none
// returns: observation: String
// access: read
// index: identifier_key
MATCH (o:Observation) WHERE o.retracted IS NULL
UNWIND split(o.keys, '\t') AS key
OPTIONAL MATCH (i:Identifier {key: key})
WITH o, i WHERE i IS NULL
RETURN DISTINCT o.id AS observation
