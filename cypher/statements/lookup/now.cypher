// name: lookup/now
// summary: The state and the profile of identifiers that exist. One row, since rows cost more than lists.
// params: keys: List<String>
// returns: found: List<List<String>>
// access: read
// index: identifier_key
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
OPTIONAL MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect([key, i.state, p.id]) AS found
