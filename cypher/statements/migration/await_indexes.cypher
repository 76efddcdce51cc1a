// name: migration/await_indexes
// summary: Wait until the indexes of new constraints are filled.
// params: none
// returns: none
// access: read
// index: none
CALL db.awaitIndexes(300)
