// name: model/active
// summary: The model that matches now.
// params: none
// returns: version: String, trained_at: Integer, activated_at: Integer, auto: Float, review: Float
// access: read
// index: none
MATCH (m:Model) WHERE m.active
RETURN m.version AS version, m.trained_at AS trained_at, m.activated_at AS activated_at, m.auto AS auto, m.review AS review
