// name: record/prepare
// summary: What the active model reads of records, beside the row that it was read from. Rows: key, digest, fields, blocks.
// params: rows: List<List<Any>>, model: String, unmatched: Integer
// returns: none
// access: write
// index: record_key
UNWIND $rows AS row
MATCH (r:Record {key: row[0]}) WHERE r.digest = row[1]
SET r.fields = row[2], r.model = $model, r.unmatched = $unmatched,
    r.block_1 = row[3][0], r.block_2 = row[3][1], r.block_3 = row[3][2], r.block_4 = row[3][3],
    r.block_5 = row[3][4], r.block_6 = row[3][5], r.block_7 = row[3][6], r.block_8 = row[3][7],
    r.block_9 = row[3][8], r.block_10 = row[3][9], r.block_11 = row[3][10], r.block_12 = row[3][11],
    r.block_13 = row[3][12], r.block_14 = row[3][13], r.block_15 = row[3][14], r.block_16 = row[3][15]
