// name: rules/activate
// summary: Let the graph follow these rules from now on, and tell it in the lineage; earlier versions stay. Until they are settled, some of what is stored was decided by others.
// params: version: String, text: String, at: Integer, act: String, actor: String, reason: String, undoes: String
// returns: none
// access: write
// index: rules_version
OPTIONAL MATCH (old:Rules) WHERE old.active AND old.version <> $version
WITH head(collect(old)) AS old
SET old.active = false
MERGE (r:Rules {version: $version})
SET r.text = $text, r.at = $at, r.active = true, r.settled_at = null, r.act = $act,
    r.actor = $actor, r.reason = $reason, r.undoes = $undoes
CREATE (:Change:GraphChange {
  id: $act, kind: 'RULES_CHANGED', cause: 'RULES', at: $at, act: $act, actor: $actor, reason: $reason, moved: [],
  rules_version: $version, before: old.version, undoes: $undoes
})
