// name: model/keep
// summary: Remember a model that was trained.
// params: version: String, trained_at: Integer, auto: Float, review: Float, text: String
// returns: none
// access: write
// index: model_version
MERGE (m:Model {version: $version})
SET m.trained_at = $trained_at, m.auto = $auto, m.review = $review, m.text = $text, m.active = coalesce(m.active, false)
