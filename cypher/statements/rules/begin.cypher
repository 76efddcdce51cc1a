// name: rules/begin
// summary: The first rules of a graph, before anything is decided.
// params: version: String, text: String, at: Integer
// returns: none
// access: write
// index: rules_version
MERGE (r:Rules {version: $version})
ON CREATE SET r.text = $text, r.at = $at, r.settled_at = $at, r.active = true
