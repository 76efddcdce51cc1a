// name: batch/lock
// summary: Lock profiles in the order given, then say what they hold, and once more what batch/read and identifier/find read of identifiers that have a profile. The write waits for the lock of the node alone: one whose new value reads the old would take two locks and give one back, and who waits would stand in the way of who holds.
// params: elements: List<String>, identifiers: List<String>
// returns: locked: List<List<Any>>, found: List<List<Any>>
// access: write
// index: none
CALL () {
  UNWIND $elements AS element
  MATCH (p:Profile) WHERE elementId(p) = element
  SET p.lock = 0
  RETURN collect([element, p.id, p.created_at, p.size, p.version, p.refused, p.guarded, p.limited]) AS locked
}
CALL () {
  UNWIND $identifiers AS element
  MATCH (i:Identifier) WHERE elementId(i) = element
  MATCH (i)-[:MEMBER_OF]->(p:Profile)
  RETURN collect([i.key, i.state, i.partners, p.id]) AS found
}
RETURN locked, found
