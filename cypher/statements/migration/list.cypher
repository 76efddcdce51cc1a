// name: migration/list
// summary: The migrations that were applied, in order.
// params: none
// returns: name: String, checksum: String
// access: read
// index: none
MATCH (m:Migration) WHERE m.checksum IS NOT NULL
RETURN m.name AS name, m.checksum AS checksum ORDER BY name
