// name: database/is_empty
// summary: Whether nothing was ever written but the rules in force: what else is there would be lost where another graph takes its place.
// params: none
// returns: empty: Boolean
// access: read
// index: none
RETURN NOT EXISTS { (:Identifier) }
  AND NOT EXISTS { (:Segment) }
  AND NOT EXISTS { (:Model) }
  AND NOT EXISTS { (:Audit) }
  AND COUNT { (:Rules) } <= 1 AS empty
