// name: model/activate
// summary: Let one model match from now on, and no other, none where the version is null; and tell it in the lineage where that is another one than before.
// params: version: String, at: Integer, act: String, actor: String, reason: String
// returns: none
// access: write
// index: model_version
OPTIONAL MATCH (old:Model) WHERE old.active
WITH collect(old.version) AS before
FOREACH (_ IN CASE WHEN head(before) IS NULL AND $version IS NULL OR head(before) = $version THEN [] ELSE [1] END |
  CREATE (:Change:GraphChange {
    id: $act, kind: 'MODEL_CHANGED', cause: 'MODEL', at: $at, act: $act, actor: $actor, reason: $reason, moved: [],
    model: $version
  })
)
WITH before
CALL () {
  MATCH (c:Crowd)
  DELETE c
}
MATCH (m:Model)
SET m.activated_at = CASE WHEN m.version = $version AND NOT m.active THEN $at ELSE m.activated_at END,
    m.active = coalesce(m.version = $version, false)
