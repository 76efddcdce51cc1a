// name: segment/profile_element
// summary: The element of a profile that stands for somebody now; an id that was merged away leads to its survivor.
// params: id: String
// returns: element: String
// access: read
// index: profile_id
MATCH (asked:Profile {id: $id})
OPTIONAL MATCH (asked)-[:MERGED_INTO]->(survivor:Profile)
RETURN elementId(coalesce(survivor, asked)) AS element
