// name: rules/active
// summary: The rules that the graph follows, and whether all that is stored was decided by them.
// params: none
// returns: version: String, text: String, settled: Boolean, act: String, actor: String, reason: String, undoes: String
// access: read
// index: none
MATCH (r:Rules) WHERE r.active
RETURN r.version AS version, r.text AS text, r.settled_at IS NOT NULL AS settled, r.act AS act, r.actor AS actor,
  r.reason AS reason, r.undoes AS undoes
