// name: match/withdraw
// summary: Take matched links back.
// params: ids: List<String>, at: Integer
// returns: none
// access: write
// index: link_id
UNWIND $ids AS id
MATCH ()-[l:LINK {id: id}]->()
USING INDEX SEEK l:LINK(id)
SET l.state = 'RETRACTED', l.last_seen = $at, l.reason = null, l.parties = null,
    l.proposal = CASE WHEN l.proposal = 'OPEN' THEN null ELSE l.proposal END
