// name: verify/identifiers
// summary: All identifiers, each as often as it has a profile: whether the membership repeats its key, since when, and in which profile.
// params: none
// returns: key: String, state: String, partners: String, repeated: Boolean, since: Integer, profile: String
// access: read
// index: none
MATCH (i:Identifier)
OPTIONAL MATCH (i)-[m:MEMBER_OF]->(p:Profile)
RETURN i.key AS key, i.state AS state, i.partners AS partners, m.member = i.key AS repeated, m.since AS since, p.id AS profile
