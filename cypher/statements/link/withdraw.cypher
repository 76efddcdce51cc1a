// name: link/withdraw
// summary: A person's word on a link is taken back, by an act. What was said stays, for the record.
// params: id: String, act: String
// returns: none
// access: write
// index: link_id
MATCH ()-[l:LINK {id: $id}]->()
USING INDEX SEEK l:LINK(id)
SET l.state = 'RETRACTED', l.act = $act, l.reason = null, l.parties = null
