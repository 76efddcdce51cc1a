// name: database/ping
// summary: Answers while the database can.
// params: none
// returns: one: Integer
// access: read
// index: none
RETURN 1 AS one
