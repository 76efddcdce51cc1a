// name: retraction/find
// summary: Hold observations until the commit, and say how they are stored, as far as there are such: id, digest, source, observed_at, keys, the act that retracted it (null: it stands), and of an event whose it is, type and amount.
// params: ids: List<String>
// returns: found: List<List<Any>>
// access: write
// index: observation_id
UNWIND $ids AS id
MATCH (o:Observation {id: id})
REMOVE o.lock
RETURN collect([
  o.id, o.digest, o.source, o.observed_at, split(o.keys, '\t'), o.retracted,
  CASE WHEN o:Event THEN [o.by, o.type, coalesce(o.amount, 0)] END
]) AS found
