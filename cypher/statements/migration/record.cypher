// name: migration/record
// summary: Chain an applied migration to the one before it.
// params: name: String, checksum: String, at: Integer
// returns: none
// access: write
// index: none
CREATE (:Migration {name: $name, checksum: $checksum, at: $at})
