// name: override/profile
// summary: The profile to which an id leads, with its version and its identifiers.
// params: id: String
// returns: id: String, element: String, version: Integer, members: List<List<Any>>
// access: read
// index: profile_id
MATCH (asked:Profile {id: $id})
OPTIONAL MATCH (asked)-[:MERGED_INTO]->(survivor:Profile)
WITH coalesce(survivor, asked) AS p
RETURN p.id AS id, elementId(p) AS element, p.version AS version,
  [(p)<-[:MEMBER_OF]-(i:Identifier) | [i.key, i.first_seen, elementId(i)]] AS members
