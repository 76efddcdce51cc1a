// name: link/find
// summary: Which of these links exist: id, element, state.
// params: ids: List<String>
// returns: found: List<List<String>>
// access: read
// index: link_id
UNWIND $ids AS id
MATCH ()-[l:LINK {id: id}]->()
USING INDEX SEEK l:LINK(id)
RETURN collect([id, elementId(l), l.state]) AS found
