// name: profile/keys
// summary: The keys of a profile's members.
// params: id: String
// returns: keys: List<String>
// access: read
// index: profile_id
MATCH (p:Profile {id: $id})<-[:MEMBER_OF]-(i:Identifier)
USING INDEX SEEK p:Profile(id)
RETURN collect(i.key) AS keys
