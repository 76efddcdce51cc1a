// name: verify/profiles
// summary: All profiles with what they say of themselves, and the survivors that they lead to.
// params: none
// returns: id: String, status: String, size: Integer, refused: Integer, limited: String, guarded: Boolean, survivors: List<String>
// access: read
// index: none
MATCH (p:Profile)
RETURN p.id AS id, p.status AS status, p.size AS size, p.refused AS refused, p.limited AS limited, p.guarded AS guarded,
  [(p)-[:MERGED_INTO]->(q:Profile) | q.id] AS survivors
