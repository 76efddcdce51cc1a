// name: match/stored
// summary: The matched links of records, also those that were taken back.
// params: keys: List<String>
// returns: found: List<List<Any>>
// access: read
// index: link_record_a, link_record_b
UNWIND $keys AS key
CALL (key) {
  MATCH ()-[l:LINK {record_a: key}]->()
  USING INDEX SEEK l:LINK(record_a)
  RETURN l
  UNION
  MATCH ()-[l:LINK {record_b: key}]->()
  USING INDEX SEEK l:LINK(record_b)
  RETURN l
}
WITH DISTINCT l
RETURN collect([l.id, startNode(l).key, endNode(l).key, l.source, l.weight, l.state]) AS found
