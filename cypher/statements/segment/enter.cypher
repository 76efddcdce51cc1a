// name: segment/enter
// summary: Make profiles members of segments, and say so. Rows: element, profile id, segment, the change's place.
// params: rows: List<List<String>>, at: Integer
// returns: none
// access: write
// index: segment_name
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[0]
MATCH (s:Segment {name: row[2]})
CREATE (p)-[:IN_SEGMENT {member: row[2] + '\t' + row[1], entered: $at}]->(s)
CREATE (:SegmentChange {place: row[3], segment: row[2], profile: row[1], kind: 'ENTERED', at: $at})
