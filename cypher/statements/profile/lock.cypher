// name: profile/lock
// summary: Lock profiles in the order given, then say what they hold: the write takes the lock before it reads.
// params: elements: List<String>
// returns: locked: List<List<Any>>
// access: write
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
SET p.rev = p.rev + 1
RETURN collect([element, p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited]) AS locked
