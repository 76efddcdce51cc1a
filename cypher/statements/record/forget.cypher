// name: record/forget
// summary: Records as if no model had ever read them.
// params: keys: List<String>
// returns: none
// access: write
// index: record_key
UNWIND $keys AS key
MATCH (r:Record {key: key})
SET r.model = null, r.fields = null, r.unmatched = null, r.crowds = null,
    r.block_1 = null, r.block_2 = null, r.block_3 = null, r.block_4 = null,
    r.block_5 = null, r.block_6 = null, r.block_7 = null, r.block_8 = null,
    r.block_9 = null, r.block_10 = null, r.block_11 = null, r.block_12 = null,
    r.block_13 = null, r.block_14 = null, r.block_15 = null, r.block_16 = null
