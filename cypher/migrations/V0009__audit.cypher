// How long each file of the audit is, and the hash that it ends with: one node a process.
CREATE CONSTRAINT audit_file IF NOT EXISTS FOR (a:Audit) REQUIRE a.file IS UNIQUE;
