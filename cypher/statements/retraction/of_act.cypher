// name: retraction/of_act
// summary: The observations that an act retracted, and those that one restored, as far as they stand.
// params: act: String
// returns: retracted: List<String>, restored: List<String>
// access: read
// index: observation_restored, observation_retracted
CALL () {
  MATCH (o:Observation {retracted: $act})
  USING INDEX SEEK o:Observation(retracted)
  RETURN collect(o.id) AS retracted
}
CALL () {
  MATCH (o:Observation {restored: $act})
  USING INDEX SEEK o:Observation(restored)
  WHERE o.retracted IS NULL
  RETURN collect(o.id) AS restored
}
RETURN retracted, restored
