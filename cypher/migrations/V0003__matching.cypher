// Models, and what the active one needs of records and links. Where there is no model, nothing has these properties.
CREATE CONSTRAINT model_version IF NOT EXISTS FOR (m:Model) REQUIRE m.version IS UNIQUE;
// What waits for its matching.
CREATE INDEX record_unmatched IF NOT EXISTS FOR (r:Record) ON (r.unmatched);
// The values of the model's blocking rules: records that share one are candidates.
CREATE INDEX record_block_1 IF NOT EXISTS FOR (r:Record) ON (r.block_1);
CREATE INDEX record_block_2 IF NOT EXISTS FOR (r:Record) ON (r.block_2);
CREATE INDEX record_block_3 IF NOT EXISTS FOR (r:Record) ON (r.block_3);
CREATE INDEX record_block_4 IF NOT EXISTS FOR (r:Record) ON (r.block_4);
CREATE INDEX record_block_5 IF NOT EXISTS FOR (r:Record) ON (r.block_5);
CREATE INDEX record_block_6 IF NOT EXISTS FOR (r:Record) ON (r.block_6);
CREATE INDEX record_block_7 IF NOT EXISTS FOR (r:Record) ON (r.block_7);
CREATE INDEX record_block_8 IF NOT EXISTS FOR (r:Record) ON (r.block_8);
CREATE INDEX record_block_9 IF NOT EXISTS FOR (r:Record) ON (r.block_9);
CREATE INDEX record_block_10 IF NOT EXISTS FOR (r:Record) ON (r.block_10);
CREATE INDEX record_block_11 IF NOT EXISTS FOR (r:Record) ON (r.block_11);
CREATE INDEX record_block_12 IF NOT EXISTS FOR (r:Record) ON (r.block_12);
CREATE INDEX record_block_13 IF NOT EXISTS FOR (r:Record) ON (r.block_13);
CREATE INDEX record_block_14 IF NOT EXISTS FOR (r:Record) ON (r.block_14);
CREATE INDEX record_block_15 IF NOT EXISTS FOR (r:Record) ON (r.block_15);
CREATE INDEX record_block_16 IF NOT EXISTS FOR (r:Record) ON (r.block_16);
// The values that too many records share.
CREATE CONSTRAINT crowd_value IF NOT EXISTS FOR (c:Crowd) REQUIRE c.value IS UNIQUE;
// A matched link by either of its records.
CREATE INDEX link_record_a IF NOT EXISTS FOR ()-[l:LINK]-() ON (l.record_a);
CREATE INDEX link_record_b IF NOT EXISTS FOR ()-[l:LINK]-() ON (l.record_b);
CREATE INDEX link_proposal IF NOT EXISTS FOR ()-[l:LINK]-() ON (l.proposal);
