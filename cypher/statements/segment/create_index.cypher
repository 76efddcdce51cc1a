// name: segment/create_index
// summary: The index of a trait that a segment asks for.
// params: none
// returns: none
// access: write
// index: none
CREATE INDEX `trait:name` IF NOT EXISTS FOR (p:Profile) ON (p.`trait:name`)
