// name: verify/memberships_in_segments
// summary: Memberships in segments that do not repeat who is in which.
// params: none
// returns: profile: String, segment: String
// access: read
// index: none
MATCH (s:Segment)
CALL (s) {
  MATCH (s)<-[m:IN_SEGMENT]-(p:Profile)
  WHERE m.member IS NULL OR m.member <> s.name + '\t' + p.id
  RETURN p.id AS profile
}
RETURN profile, s.name AS segment
