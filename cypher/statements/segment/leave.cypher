// name: segment/leave
// summary: End memberships, and say so. Rows: element, profile id, segment, the change's place.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: in_segment_member
UNWIND $rows AS row
MATCH ()-[m:IN_SEGMENT {member: row[2] + '\t' + row[1]}]->()
DELETE m
CREATE (:SegmentChange {place: row[3], segment: row[2], profile: row[1], kind: 'LEFT', at: $at})
