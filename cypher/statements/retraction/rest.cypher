// name: retraction/rest
// summary: The observations that stand and hold one of these keys, except some. It looks at all observations there are; maps, since a list would be looked through for each.
// params: keys: Map, except: Map
// returns: found: List<List<Any>>
// access: read
// index: none
MATCH (o:Observation) WHERE o.retracted IS NULL AND $except[o.id] IS NULL
WITH o, split(o.keys, '\t') AS keys
WHERE any(key IN keys WHERE $keys[key])
RETURN collect([o.id, o.digest, o.source, o.observed_at, keys]) AS found
