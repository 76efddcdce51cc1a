// name: crowd/left
// summary: Values of blocking rules that records had which shared them with too many. Where no more are left than are compared, they are compared.
// params: values: List<Integer>, unmatched: Integer, again: Integer
// returns: none
// access: write
// index: crowd_value, record_block_1, record_block_2, record_block_3, record_block_4, record_block_5, record_block_6, record_block_7, record_block_8, record_block_9, record_block_10, record_block_11, record_block_12, record_block_13, record_block_14, record_block_15, record_block_16
UNWIND $values AS value
MATCH (c:Crowd {value: value})
CALL (value) {
  CALL (value) {
    MATCH (m:Record {block_1: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_2: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_3: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_4: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_5: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_6: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_7: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_8: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_9: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_10: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_11: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_12: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_13: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_14: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_15: value}) RETURN count(m) AS many
    UNION ALL
    MATCH (m:Record {block_16: value}) RETURN count(m) AS many
  }
  RETURN sum(many) AS many
}
WITH c, value WHERE many <= c.most
DELETE c
WITH value
CALL (value) {
    MATCH (m:Record {block_1: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_2: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_3: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_4: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_5: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_6: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_7: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_8: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_9: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_10: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_11: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_12: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_13: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_14: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_15: value}) RETURN m
    UNION ALL
    MATCH (m:Record {block_16: value}) RETURN m
}
WITH DISTINCT m
SET m.unmatched = $unmatched, m.again = $again
