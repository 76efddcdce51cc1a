// name: retraction/restored
// summary: Observations that were made anew by an act.
// params: ids: List<String>, act: String
// returns: none
// access: write
// index: observation_id
UNWIND $ids AS id
MATCH (o:Observation {id: id})
SET o.restored = $act
