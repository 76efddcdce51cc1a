// name: match/restate
// summary: What the model says of two records now. A proposal that was decided stays decided. Rows: element, version, weight, probability, levels, state, reason, parties, proposal.
// params: rows: List<List<Any>>, at: Integer
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH ()-[l:LINK]->() WHERE elementId(l) = row[0]
SET l.source = row[1], l.weight = row[2], l.probability = row[3], l.levels = row[4], l.state = row[5],
    l.reason = row[6], l.parties = row[7], l.last_seen = $at,
    l.proposal = CASE WHEN l.proposal IN ['MERGED', 'KEPT_APART'] THEN l.proposal ELSE row[8] END
