// name: proposal/reopen
// summary: What an act decided of a proposal is undone: two who were kept apart wait again, two who were merged are kept apart.
// params: act: String
// returns: none
// access: write
// index: link_proposal
UNWIND [['KEPT_APART', 'OPEN'], ['MERGED', 'KEPT_APART']] AS undone
MATCH ()-[l:LINK {proposal: undone[0]}]->()
USING INDEX SEEK l:LINK(proposal)
WHERE l.decided_by = $act
SET l.proposal = undone[1]
