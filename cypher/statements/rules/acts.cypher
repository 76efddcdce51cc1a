// name: rules/acts
// summary: What an act changed of profiles, and of those that ended in them.
// params: act: String, elements: List<String>
// returns: changes: List<String>
// access: read
// index: none
UNWIND $elements AS element
MATCH (p:Profile) WHERE elementId(p) = element
CALL (p) {
  RETURN p AS one
  UNION
  MATCH (p)<-[:MERGED_INTO]-(one:Profile)
  RETURN one
}
UNWIND [(one)<-[:OF]-(c:Change) | c] AS c
WITH DISTINCT c WHERE c.act = $act
RETURN collect(c.id) AS changes
