// name: audit/list
// summary: The files of the audit, each with its length and the hash that it ended with when the database was told.
// params: none
// returns: file: String, lines: Integer, hash: String
// access: read
// index: none
MATCH (a:Audit)
RETURN a.file AS file, a.lines AS lines, a.hash AS hash
