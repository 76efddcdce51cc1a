// name: component/read
// summary: All about profiles that the transaction holds: each with its members, and what keeps some apart (cannot-link, side, identifier). A member has the links that start there, of which those that end outside the component are the caller's to drop; one that was observed and conducts, as almost all do, is told by six of its properties.
// params: elements: List<String>
// returns: found: List<List<Any>>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)
  RETURN collect([
    elementId(i), i.key, i.first_seen, i.state,
    [(i)-[l:LINK]->(j:Identifier) WHERE i.state = 'ACTIVE' AND j.state = 'ACTIVE' AND l.state IN ['ACTIVE', 'REFUSED'] |
      CASE WHEN l.kind = 'OBSERVED' AND l.state = 'ACTIVE'
        THEN [l.id, j.key, l.source, l.first_seen, l.last_seen, l.count]
        ELSE [l.id, j.key, l.source, l.first_seen, l.last_seen, l.count, l.kind, l.weight, l.reason, l.parties]
      END
    ]
  ]) AS members
}
CALL (p) {
  MATCH (p)<-[:MEMBER_OF]-(i:Identifier)-[x:APART]->(c:CannotLink) WHERE p.guarded AND c.lifted_at IS NULL
  RETURN collect([c.id, x.side, i.key]) AS apart
}
RETURN collect([element, members, apart]) AS found
