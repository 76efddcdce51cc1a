// name: ingest/totals
// summary: How many identifiers there are, and in how many profiles.
// params: none
// returns: identifiers: Integer, profiles: Integer
// access: read
// index: none
RETURN COUNT { (:Identifier) } AS identifiers, COUNT { (p:Profile) WHERE p.status = 'ACTIVE' } AS profiles
