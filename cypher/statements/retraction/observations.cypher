// name: retraction/observations
// summary: Observations that are taken back stay, so that none comes again unasked, with another result and in no journey.
// params: ids: List<String>, act: String, result: String
// returns: none
// access: write
// index: observation_id
UNWIND $ids AS id
MATCH (o:Observation {id: id})
SET o.retracted = $act, o.result = $result
FOREACH (_ IN CASE WHEN o:Event THEN [1] ELSE [] END | REMOVE o:Event SET o:RetractedEvent)
