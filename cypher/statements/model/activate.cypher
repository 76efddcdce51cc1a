// name: model/activate
// summary: Let one model match from now on, and no other; none where the version is null.
// params: version: String, at: Integer
// returns: none
// access: write
// index: none
MATCH (m:Model)
SET m.activated_at = CASE WHEN m.version = $version AND NOT m.active THEN $at ELSE m.activated_at END,
    m.active = coalesce(m.version = $version, false)
