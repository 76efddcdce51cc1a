// name: override/standing
// summary: What people said of a trait of a profile, and stands: element, the act that said it, and the act that this undid.
// params: element: String, trait: String
// returns: found: List<List<String>>
// access: read
// index: none
MATCH (p:Profile) WHERE elementId(p) = $element
MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:OVERRIDES]-(o:Override {trait: $trait}) WHERE o.until IS NULL
RETURN collect([elementId(o), o.act, o.undoes]) AS found
