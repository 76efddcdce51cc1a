// name: verify/uncounted
// summary: Events that no tally counts. Where the tallies count as many as there are, none is looked at.
// params: none
// returns: profile: String, event: String, type: String, source: String
// access: read
// index: tally_key, identifier_key
CALL () {
  MATCH (t:Tally)
  RETURN sum(t.count - coalesce(t.forgotten, 0)) AS counted
}
WITH counted WHERE counted <> COUNT { (:Event) }
MATCH (e:Event)
WHERE NOT EXISTS { MATCH (t:Tally {key: e.by + '\t' + e.type + '\t' + e.source}) }
OPTIONAL MATCH (i:Identifier {key: e.by})
RETURN head([(i)-[:MEMBER_OF]->(p:Profile) | p.id]) AS profile, e.id AS event, e.type AS type, e.source AS source
