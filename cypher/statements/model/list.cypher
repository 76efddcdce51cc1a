// name: model/list
// summary: All models, the one that was activated last first.
// params: none
// returns: version: String, trained_at: Integer, activated_at: Integer, active: Boolean, text: String
// access: read
// index: none
MATCH (m:Model)
RETURN m.version AS version, m.trained_at AS trained_at, m.activated_at AS activated_at, m.active AS active, m.text AS text
ORDER BY coalesce(m.activated_at, 0) DESC, version DESC
