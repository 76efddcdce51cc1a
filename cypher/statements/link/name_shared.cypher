// name: link/name_shared
// summary: Name both ends as the reason of links from identifiers that just became shared to ones that were shared before.
// params: elements: List<String>
// returns: none
// access: write
// index: none
UNWIND $elements AS element
MATCH (i:Identifier) WHERE elementId(i) = element
MATCH (i)-[l:LINK]-(other:Identifier)
WHERE l.reason = 'SHARED_IDENTIFIER' AND other.state = 'SHARED'
SET l.parties = [startNode(l).key, endNode(l).key]
