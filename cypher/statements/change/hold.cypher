// name: change/hold
// summary: Hold a change until the commit, with all that the same act brought about: who takes back the same waits, and finds that it was done. Removing what is not there locks and writes nothing.
// params: id: String
// returns: none
// access: write
// index: change_act, change_id
MATCH (c:Change {id: $id})
CALL (c) {
  WITH c WHERE c.act IS NULL
  RETURN c AS one
  UNION
  MATCH (one:Change {act: c.act})
  RETURN one
}
WITH one ORDER BY one.id LIMIT 1
REMOVE one.lock
