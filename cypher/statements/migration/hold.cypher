// name: migration/hold
// summary: Take the migration lock for as long as the transaction lasts.
// params: none
// returns: none
// access: write
// index: migration_name
MERGE (m:Migration {name: 'lock'})
SET m.held = true
