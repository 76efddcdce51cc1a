// The events of one identifier and type in the order of their times. With the tallies, which say what types there are, a
// page of anybody's events is read from the ends of a few such runs, however long they are.
CREATE INDEX event_run IF NOT EXISTS FOR (e:Event) ON (e.by, e.type, e.observed_at);
// How many events of a type an identifier has from a source.
CREATE CONSTRAINT tally_key IF NOT EXISTS FOR (t:Tally) REQUIRE t.key IS UNIQUE;
