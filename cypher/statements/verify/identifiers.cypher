// name: verify/identifiers
// summary: All identifiers, those of a profile in one row, since rows cost more than lists; each as often as it has a profile: key, state, partners, whether the membership repeats its key, since when, in which profile, and which one it joined (null: that one).
// params: none
// returns: found: List<List<Any>>
// access: read
// index: none
CALL () {
  MATCH (p:Profile)
  CALL (p) {
    MATCH (p)<-[m:MEMBER_OF]-(i:Identifier)
    RETURN collect([i.key, i.state, i.partners, m.member = i.key, m.since, p.id, CASE WHEN i.joined = p.id THEN null ELSE coalesce(i.joined, '') END]) AS found
  }
  RETURN found
  UNION ALL
  MATCH (i:Identifier) WHERE NOT EXISTS { (i)-[:MEMBER_OF]->(:Profile) }
  RETURN [[i.key, i.state, i.partners, null, null, null, i.joined]] AS found
}
RETURN found
