// name: migration/prepare
// summary: The lock node's own constraint, which comes before the lock; creating it twice at once does no harm.
// params: none
// returns: none
// access: write
// index: none
CREATE CONSTRAINT migration_name IF NOT EXISTS FOR (m:Migration) REQUIRE m.name IS UNIQUE
