// name: cannot_link/lift
// summary: Sides that were kept apart may meet again. What was said stays, for the record.
// params: ids: List<String>, at: Integer, act: String, actor: String, reason: String
// returns: none
// access: write
// index: cannot_link_id
UNWIND $ids AS id
MATCH (c:CannotLink {id: id})
SET c.lifted_at = $at, c.lifted_by = $act, c.lifted_actor = $actor, c.lifted_reason = $reason
