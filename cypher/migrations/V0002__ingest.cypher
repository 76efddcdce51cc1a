// How far each file was taken: one node a file, named by what is in it.
CREATE CONSTRAINT ingest_key IF NOT EXISTS FOR (i:Ingest) REQUIRE i.key IS UNIQUE;
