// name: identifier/create
// summary: Create identifiers directly in their final profile. Rows sorted by key: key, namespace, value, raw, first_seen, last_seen, sources, state, partners, is a device, profile element.
// params: rows: List<List<Any>>, at: Integer
// returns: elements: List<String>
// access: write
// index: none
UNWIND $rows AS row
MATCH (p:Profile) WHERE elementId(p) = row[10]
CREATE (i:Identifier {
  key: row[0], namespace: row[1], value: row[2], raw: row[3], first_seen: row[4], last_seen: row[5],
  sources: row[6], state: row[7], partners: row[8]
})-[:MEMBER_OF {member: row[0], since: $at}]->(p)
FOREACH (_ IN CASE WHEN row[9] THEN [1] ELSE [] END | SET i:Device)
RETURN collect(elementId(i)) AS elements
