// One value, one node: each of these is a fact of the database, not a hope of the code.
CREATE CONSTRAINT identifier_key IF NOT EXISTS FOR (i:Identifier) REQUIRE i.key IS UNIQUE;
CREATE CONSTRAINT profile_id IF NOT EXISTS FOR (p:Profile) REQUIRE p.id IS UNIQUE;
CREATE CONSTRAINT record_key IF NOT EXISTS FOR (r:Record) REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT observation_id IF NOT EXISTS FOR (o:Observation) REQUIRE o.id IS UNIQUE;
CREATE CONSTRAINT change_id IF NOT EXISTS FOR (c:Change) REQUIRE c.id IS UNIQUE;
CREATE CONSTRAINT rules_version IF NOT EXISTS FOR (r:Rules) REQUIRE r.version IS UNIQUE;
CREATE CONSTRAINT link_id IF NOT EXISTS FOR ()-[l:LINK]-() REQUIRE l.id IS UNIQUE;
// An identifier is in one profile: the member property repeats its key.
CREATE CONSTRAINT member_of_member IF NOT EXISTS FOR ()-[m:MEMBER_OF]-() REQUIRE m.member IS UNIQUE;
