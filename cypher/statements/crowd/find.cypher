// name: crowd/find
// summary: Note every value of a blocking rule that more records share than are compared with each other.
// params: most: Integer
// returns: none
// access: write
// index: crowd_value, record_block_1, record_block_2, record_block_3, record_block_4, record_block_5, record_block_6, record_block_7, record_block_8, record_block_9, record_block_10, record_block_11, record_block_12, record_block_13, record_block_14, record_block_15, record_block_16
CALL () {
  MATCH (r:Record) WHERE r.block_1 IS NOT NULL
  WITH r.block_1 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_2 IS NOT NULL
  WITH r.block_2 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_3 IS NOT NULL
  WITH r.block_3 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_4 IS NOT NULL
  WITH r.block_4 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_5 IS NOT NULL
  WITH r.block_5 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_6 IS NOT NULL
  WITH r.block_6 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_7 IS NOT NULL
  WITH r.block_7 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_8 IS NOT NULL
  WITH r.block_8 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_9 IS NOT NULL
  WITH r.block_9 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_10 IS NOT NULL
  WITH r.block_10 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_11 IS NOT NULL
  WITH r.block_11 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_12 IS NOT NULL
  WITH r.block_12 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_13 IS NOT NULL
  WITH r.block_13 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_14 IS NOT NULL
  WITH r.block_14 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_15 IS NOT NULL
  WITH r.block_15 AS value, count(*) AS many WHERE many > $most
  RETURN value
  UNION ALL
  MATCH (r:Record) WHERE r.block_16 IS NOT NULL
  WITH r.block_16 AS value, count(*) AS many WHERE many > $most
  RETURN value
}
MERGE (c:Crowd {value: value})
SET c.most = $most
