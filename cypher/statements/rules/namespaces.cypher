// name: rules/namespaces
// summary: The namespaces of all identifiers.
// params: none
// returns: namespace: String
// access: read
// index: none
MATCH (i:Identifier)
RETURN DISTINCT split(i.key, ':')[0] AS namespace
