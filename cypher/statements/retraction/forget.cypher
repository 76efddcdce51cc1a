// name: retraction/forget
// summary: Identifiers that nobody names any more. Whose they were is kept, for the past.
// params: elements: List<String>
// returns: none
// access: write
// index: none
UNWIND $elements AS element
MATCH (i:Identifier) WHERE elementId(i) = element
REMOVE i:Identifier
SET i:RetractedIdentifier
WITH i
OPTIONAL MATCH (i)-[l:LINK]-()
DELETE l
WITH DISTINCT i
OPTIONAL MATCH (i)<-[:COUNTS]-(t:Tally)
DETACH DELETE t
