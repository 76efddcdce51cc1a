// name: audit/anchor
// summary: How long a file of the audit is, and the hash that it ends with.
// params: file: String, lines: Integer, hash: String, at: Integer
// returns: none
// access: write
// index: audit_file
MERGE (a:Audit {file: $file})
SET a.lines = $lines, a.hash = $hash, a.at = $at
