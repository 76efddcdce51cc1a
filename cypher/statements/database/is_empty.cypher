// name: database/is_empty
// summary: Whether no identifier was ever written.
// params: none
// returns: empty: Boolean
// access: read
// index: none
OPTIONAL MATCH (i:Identifier) WITH i LIMIT 1
RETURN i IS NULL AS empty
