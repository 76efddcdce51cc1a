// What people decided: sides that may not meet, and by which act. Few, so each look-up may have its index.
CREATE CONSTRAINT cannot_link_id IF NOT EXISTS FOR (c:CannotLink) REQUIRE c.id IS UNIQUE;
CREATE INDEX cannot_link_act IF NOT EXISTS FOR (c:CannotLink) ON (c.act);
CREATE INDEX cannot_link_lifted_by IF NOT EXISTS FOR (c:CannotLink) ON (c.lifted_by);
CREATE INDEX cannot_link_undoes IF NOT EXISTS FOR (c:CannotLink) ON (c.undoes);
// Only what a person decided has an act.
CREATE INDEX change_act IF NOT EXISTS FOR (c:Change) ON (c.act);
CREATE INDEX override_act IF NOT EXISTS FOR (o:Override) ON (o.act);
CREATE INDEX override_ended_by IF NOT EXISTS FOR (o:Override) ON (o.ended_by);
