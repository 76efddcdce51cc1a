// name: observation/find
// summary: The stored results of observations that were taken before.
// params: ids: List<String>
// returns: found: List<List<String>>
// access: read
// index: observation_id
UNWIND $ids AS id
MATCH (o:Observation {id: id})
RETURN collect([o.id, o.digest, o.result]) AS found
