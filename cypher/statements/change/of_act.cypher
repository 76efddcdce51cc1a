// name: change/of_act
// summary: The changes that an act brought about.
// params: act: String
// returns: ids: List<String>
// access: read
// index: change_act
MATCH (c:Change {act: $act})
RETURN collect(c.id) AS ids
