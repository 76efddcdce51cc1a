// name: override/of_act
// summary: What an act said of traits (true) or ended (false), with its anchor and the element of the profile that is in: element, set, ended by, whether by an undo, trait, traits, observed_at, actor, reason, key, profile.
// params: act: String
// returns: found: List<List<Any>>
// access: read
// index: override_act, override_ended_by
CALL () {
  MATCH (o:Override {act: $act})
  RETURN o, true AS set
  UNION
  MATCH (o:Override {ended_by: $act})
  RETURN o, false AS set
}
MATCH (o)-[:OVERRIDES]->(i:Identifier)
OPTIONAL MATCH (i)-[:MEMBER_OF]->(p:Profile)
WITH o, set, i, p ORDER BY o.key
RETURN collect([
  elementId(o), set, o.ended_by, coalesce(o.undone, false), o.trait, o.traits, o.observed_at, o.actor, o.reason, i.key,
  elementId(p)
]) AS found
