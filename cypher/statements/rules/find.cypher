// name: rules/find
// summary: Rules that the graph follows or followed.
// params: version: String
// returns: text: String, active: Boolean
// access: read
// index: rules_version
MATCH (r:Rules {version: $version})
RETURN r.text AS text, r.active AS active
