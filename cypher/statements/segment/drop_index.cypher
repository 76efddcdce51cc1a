// name: segment/drop_index
// summary: Drop the index of a trait that no segment asks for any more.
// params: none
// returns: none
// access: write
// index: none
DROP INDEX `trait:name` IF EXISTS
