// name: profile/lock
// summary: Lock profiles in the order given, then say what they hold. The write waits for the lock of the node alone: one whose new value reads the old would take two locks and give one back, and who waits would stand in the way of who holds.
// params: elements: List<String>
// returns: locked: List<List<Any>>
// access: write
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
SET p.lock = 0
RETURN collect([element, p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited]) AS locked
