// name: event/homes
// summary: The profiles that hold these identifiers, by element.
// params: keys: List<String>
// returns: elements: List<String>
// access: read
// index: identifier_key
UNWIND $keys AS key
MATCH (i:Identifier {key: key})
USING INDEX SEEK i:Identifier(key)
MATCH (i)-[:MEMBER_OF]->(p:Profile)
RETURN collect(DISTINCT elementId(p)) AS elements
