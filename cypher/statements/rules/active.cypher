// name: rules/active
// summary: The rules that the graph's profiles follow.
// params: none
// returns: version: String, text: String
// access: read
// index: none
MATCH (r:Rules) WHERE r.active
RETURN r.version AS version, r.text AS text
