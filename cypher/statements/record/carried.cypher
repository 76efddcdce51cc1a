// name: record/carried
// summary: The identifiers that were seen with records' anchors, and the anchors themselves, as far as their namespace is one of these and neither link nor identifier stands back. Bounded, as a shared mailbox meets many.
// params: anchors: List<String>, namespaces: List<String>, most: Integer
// returns: found: List<List<Any>>
// access: read
// index: identifier_key
UNWIND $anchors AS anchor
MATCH (a:Identifier {key: anchor}) WHERE a.state = 'ACTIVE'
CALL (a) {
  MATCH (a)-[l:LINK {kind: 'OBSERVED', state: 'ACTIVE'}]-(i:Identifier)
  WHERE i.state = 'ACTIVE' AND split(i.key, ':')[0] IN $namespaces
  WITH DISTINCT i LIMIT $most
  RETURN collect(i.key) AS seen
}
RETURN collect([anchor, seen + [key IN [anchor] WHERE split(key, ':')[0] IN $namespaces]]) AS found
