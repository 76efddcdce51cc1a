// name: crowd/reached
// summary: Values of blocking rules that more records share now than are compared with each other: those that had one of them before are compared anew, save some.
// params: values: List<Integer>, most: Integer, but: List<String>, unmatched: Integer, again: Integer
// returns: none
// access: write
// index: crowd_value, record_block_1, record_block_2, record_block_3, record_block_4, record_block_5, record_block_6, record_block_7, record_block_8, record_block_9, record_block_10, record_block_11, record_block_12, record_block_13, record_block_14, record_block_15, record_block_16
UNWIND $values AS value
MERGE (c:Crowd {value: value})
SET c.most = $most
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
WITH DISTINCT m WHERE NOT m.key IN $but
SET m.unmatched = $unmatched, m.again = $again
