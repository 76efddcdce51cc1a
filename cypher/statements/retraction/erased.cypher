// name: retraction/erased
// summary: The profiles that an act emptied, each with those who were its members just before and are nobody's now: key, first_seen, element.
// params: act: String
// returns: found: List<List<Any>>
// access: read
// index: change_act
MATCH (c:Change {act: $act, kind: 'RETRACTED'})-[:OF]->(p:Profile {status: 'ERASED'})
MATCH (p)<-[was:WAS_MEMBER_OF]-(i:RetractedIdentifier)
WHERE was.until = c.at AND NOT EXISTS { MATCH (:Identifier {key: i.key}) }
WITH p, collect([i.key, i.first_seen, elementId(i)]) AS members
RETURN collect([elementId(p), members]) AS found
