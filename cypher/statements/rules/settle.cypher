// name: rules/settle
// summary: All that is stored was decided by these rules.
// params: version: String, at: Integer
// returns: none
// access: write
// index: rules_version
MATCH (r:Rules {version: $version}) WHERE r.active
SET r.settled_at = $at
