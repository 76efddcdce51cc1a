// name: verify/identifiers
// summary: All identifiers, those of a profile in one row, since rows cost more than lists; each as often as it has a profile: key, state, partners, whether the membership repeats its key, since when, and in which profile.
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
CALL () {
  MATCH (p:Profile)
  CALL (p) {
    MATCH (p)<-[m:MEMBER_OF]-(i:Identifier)
    RETURN collect([i.key, i.state, i.partners, m.member = i.key, m.since, p.id]) AS found
  }
  RETURN found
  UNION ALL
  MATCH (i:Identifier) WHERE NOT EXISTS { (i)-[:MEMBER_OF]->(:Profile) }
  RETURN [[i.key, i.state, i.partners, null, null, null]] AS found
}
RETURN found
