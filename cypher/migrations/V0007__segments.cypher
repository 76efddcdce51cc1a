// What changes whenever segments or traits do, so that nobody need read them all each time.
CREATE CONSTRAINT revision_key IF NOT EXISTS FOR (r:Revision) REQUIRE r.key IS UNIQUE;
// Which traits there are: one node a source, name and type.
CREATE CONSTRAINT trait_key IF NOT EXISTS FOR (t:Trait) REQUIRE t.key IS UNIQUE;
// Segments by name, all their definitions, and who is a member since when: at most once, in an order to page by.
CREATE CONSTRAINT segment_name IF NOT EXISTS FOR (s:Segment) REQUIRE s.name IS UNIQUE;
CREATE CONSTRAINT segment_version IF NOT EXISTS FOR (v:SegmentVersion) REQUIRE v.key IS UNIQUE;
CREATE CONSTRAINT in_segment_member IF NOT EXISTS FOR ()-[m:IN_SEGMENT]-() REQUIRE m.member IS UNIQUE;
// Who entered and left, by segment in order, and by profile.
CREATE CONSTRAINT segment_change_place IF NOT EXISTS FOR (c:SegmentChange) REQUIRE c.place IS UNIQUE;
CREATE INDEX segment_change_profile IF NOT EXISTS FOR (c:SegmentChange) ON (c.profile);
// When time alone may next make a profile enter or leave a segment.
CREATE INDEX profile_due IF NOT EXISTS FOR (p:Profile) ON (p.due);
