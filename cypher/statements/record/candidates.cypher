// name: record/candidates
// summary: Records as a model reads them, with their matched links as match/stored tells them, and those that share a value of a blocking rule with them. A value that as many as `most` share says nothing: it is told as a crowd, also which are no known ones, and which known ones a record has left. With a moment, only those that wait for their own matching or were written since; only of other sources, if so asked. Each with the identifier that holds it.
// params: keys: List<String>, model: String, most: Integer, since: Integer, across: Boolean
// returns: found: List<List<Any>>, stored: List<List<Any>>
// access: read
// index: crowd_value, link_record_a, link_record_b, record_key, record_block_1, record_block_2, record_block_3, record_block_4, record_block_5, record_block_6, record_block_7, record_block_8, record_block_9, record_block_10, record_block_11, record_block_12, record_block_13, record_block_14, record_block_15, record_block_16
CALL () {
  UNWIND $keys AS key
  MATCH (r:Record {key: key}) WHERE r.model = $model
  CALL (r) {
    MATCH (c:Record {block_1: r.block_1}) WITH c LIMIT $most RETURN [0, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_2: r.block_2}) WITH c LIMIT $most RETURN [1, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_3: r.block_3}) WITH c LIMIT $most RETURN [2, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_4: r.block_4}) WITH c LIMIT $most RETURN [3, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_5: r.block_5}) WITH c LIMIT $most RETURN [4, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_6: r.block_6}) WITH c LIMIT $most RETURN [5, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_7: r.block_7}) WITH c LIMIT $most RETURN [6, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_8: r.block_8}) WITH c LIMIT $most RETURN [7, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_9: r.block_9}) WITH c LIMIT $most RETURN [8, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_10: r.block_10}) WITH c LIMIT $most RETURN [9, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_11: r.block_11}) WITH c LIMIT $most RETURN [10, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_12: r.block_12}) WITH c LIMIT $most RETURN [11, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_13: r.block_13}) WITH c LIMIT $most RETURN [12, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_14: r.block_14}) WITH c LIMIT $most RETURN [13, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_15: r.block_15}) WITH c LIMIT $most RETURN [14, collect(c)] AS found
    UNION ALL
    MATCH (c:Record {block_16: r.block_16}) WITH c LIMIT $most RETURN [15, collect(c)] AS found
  }
  WITH r, collect(found) AS blocks, [
    r.block_1, r.block_2, r.block_3, r.block_4, r.block_5, r.block_6, r.block_7, r.block_8,
    r.block_9, r.block_10, r.block_11, r.block_12, r.block_13, r.block_14, r.block_15, r.block_16
  ] AS values
  WITH r, values, [block IN blocks WHERE size(block[1]) < $most | block[1]] AS blocks,
    [block IN blocks WHERE size(block[1]) >= $most | values[block[0]]] AS crowds
  CALL (crowds) {
    UNWIND crowds AS value
    OPTIONAL MATCH (c:Crowd {value: value})
    WITH value, c WHERE c IS NULL
    RETURN collect(value) AS reached
  }
  CALL (r, blocks) {
    UNWIND blocks AS block
    UNWIND block AS c
    WITH DISTINCT c, r WHERE c <> r AND ($since IS NULL OR c.unmatched IS NOT NULL OR c.since >= $since)
      AND NOT ($across AND c.source = r.source)
    RETURN collect([
      c.key, c.digest + coalesce('/' + toString(c.again), ''), c.fields, CASE WHEN c.record_id IS NULL THEN substring(c.key, size(c.source) + 1) ELSE 'record:' + c.key END
    ]) AS candidates
  }
  RETURN collect([
    r.key, r.digest + coalesce('/' + toString(r.again), ''), r.fields,
    CASE WHEN r.record_id IS NULL THEN substring(r.key, size(r.source) + 1) ELSE 'record:' + r.key END,
    candidates, crowds, reached, [value IN coalesce(r.crowds, []) WHERE NOT coalesce(value IN values, false)]
  ]) AS found
}
CALL () {
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
  RETURN collect([l.id, startNode(l).key, endNode(l).key, l.source, l.weight, l.state]) AS stored
}
RETURN found, stored
