// name: revision/set
// summary: Hold something until the commit, and say that it changes.
// params: key: String, revision: String
// returns: none
// access: write
// index: revision_key
MERGE (r:Revision {key: $key})
SET r.revision = $revision
