// name: rules/activate
// summary: Make these rules the graph's own; earlier versions stay.
// params: version: String, text: String, at: Integer
// returns: none
// access: write
// index: rules_version
MERGE (r:Rules {version: $version})
ON CREATE SET r.text = $text, r.at = $at
SET r.active = true
WITH r
MATCH (other:Rules) WHERE other <> r AND other.active
SET other.active = false
