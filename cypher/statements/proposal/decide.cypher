// name: proposal/decide
// summary: What became of a proposal.
// params: id: String, status: String, act: String
// returns: none
// access: write
// index: link_id
MATCH ()-[l:LINK {id: $id}]->()
USING INDEX SEEK l:LINK(id)
SET l.proposal = $status, l.decided_by = $act
