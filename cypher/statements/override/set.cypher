// name: override/set
// summary: People's words on traits, anchored by identifiers as records are; said again where the undo of an act ended what had ended them. Rows: id, trait, traits, observed_at, actor, reason, key of the identifier.
// params: rows: List<List<Any>>, act: String, at: Integer, undoes: String
// returns: none
// access: write
// index: identifier_key
UNWIND $rows AS row
MATCH (i:Identifier {key: row[6]})
CREATE (:Override {
  key: row[0], trait: row[1], source: 'steward', traits: row[2], observed_at: row[3], since: $at, actor: row[4],
  reason: row[5], act: $act, undoes: $undoes
})-[:OVERRIDES]->(i)
