// name: override/end
// summary: Take back what people said of a trait of a profile; how often somebody had. It stays on record.
// params: element: String, trait: String, actor: String, reason: String, at: Integer
// returns: ended: Integer
// access: write
// index: none
MATCH (p:Profile) WHERE elementId(p) = $element
MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:OVERRIDES]-(o:Override {trait: $trait}) WHERE o.until IS NULL
SET o.until = $at, o.ended_by = $actor, o.ended_reason = $reason
RETURN count(o) AS ended
