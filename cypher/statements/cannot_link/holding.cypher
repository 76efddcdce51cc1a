// name: cannot_link/holding
// summary: Which of these cannot-links hold.
// params: ids: List<String>
// returns: ids: List<String>
// access: read
// index: cannot_link_id
UNWIND $ids AS id
MATCH (c:CannotLink {id: id}) WHERE c.lifted_at IS NULL
RETURN collect(c.id) AS ids
