// name: override/set
// summary: A person's word on a trait, anchored by an identifier as a record is.
// params: id: String, trait: String, traits: String, actor: String, reason: String, at: Integer, anchor: String
// returns: none
// access: write
// index: none
MATCH (i:Identifier) WHERE elementId(i) = $anchor
CREATE (:Override {
  key: $id, trait: $trait, source: 'steward', traits: $traits, observed_at: $at, actor: $actor, reason: $reason
})-[:OVERRIDES]->(i)
