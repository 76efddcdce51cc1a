// name: rules/history
// summary: How the graph came to follow other rules, in order: when, the version before with its text, by which act, and which act that took back (null: none).
// params: none
// returns: at: Integer, before: String, text: String, act: String, undoes: String
// access: read
// index: rules_version
MATCH (c:GraphChange) WHERE c.kind = 'RULES_CHANGED' AND c.before IS NOT NULL
MATCH (r:Rules {version: c.before})
RETURN c.at AS at, c.before AS before, r.text AS text, c.act AS act, c.undoes AS undoes ORDER BY c.at, c.id
