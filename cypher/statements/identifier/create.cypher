// name: identifier/create
// summary: Create identifiers directly in their final profile. Rows sorted by key: key, raw, first_seen, last_seen, sources, state, partners, is a device, profile element.
// params: rows: List<List<Any>>, at: Integer
// returns: elements: List<String>
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[8]
CREATE (i:Identifier {
  key: row[0], raw: row[1], first_seen: row[2], last_seen: row[3], sources: row[4], state: row[5], partners: row[6]
})-[:MEMBER_OF {member: row[0], since: $at}]->(p)
FOREACH (_ IN CASE WHEN row[7] THEN [1] ELSE [] END | SET i:Device)
RETURN collect(elementId(i)) AS elements
