// name: export/sums
// summary: What events of profiles add up to, by the profile's id: the source of most, the first by name among equals; when it was first seen, bought last and was last seen; and the amounts of purchases.
// params: ids: List<String>, purchase: String
// returns: found: List<List<Any>>
// access: read
// index: profile_id
UNWIND $ids AS id
MATCH (p:Profile {id: id})
USING INDEX SEEK p:Profile(id)
MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
OPTIONAL MATCH (i)<-[:COUNTS]-(t:Tally)
WITH id, t.source AS channel, sum(t.count) AS many, min(i.first_seen) AS first, max(i.last_seen) AS last,
  sum(CASE t.type WHEN $purchase THEN t.amount END) AS amount, max(CASE t.type WHEN $purchase THEN t.last END) AS bought
// The least of [-many, channel] without sorting: what has no events is [0, null], which comes last.
WITH id, min([-many, channel])[1] AS favourite, min(first) AS first, max(bought) AS bought, max(last) AS last,
  sum(amount) AS amount
RETURN collect([id, favourite, first, bought, last, CASE WHEN bought IS NOT NULL THEN amount END]) AS found
