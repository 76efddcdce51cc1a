// name: revision/read
// summary: What changes whenever segments are defined or deleted, and whenever there are new traits, each by its key; nothing of what never was.
// params: none
// returns: found: List<List<String>>
// access: read
// index: revision_key
UNWIND ['segments', 'traits'] AS key
MATCH (r:Revision {key: key})
RETURN collect([key, r.revision]) AS found
