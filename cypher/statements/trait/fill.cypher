// name: trait/fill
// summary: Of some profiles, how many show each trait; how many have any event, and how many one of a type, as far as they show no trait of one of these names instead; how many have an event that is declared to be counted, where rows are a name, a type (empty: every one) and a moment since when (null: ever); and how many were looked at.
// params: sample: Integer, type: String, of_any: List<String>, of_type: List<String>, declared: List<List<Any>>
// returns: looked: Integer, found: List<List<Any>>, aggregated: List<List<Any>>, counted: List<List<Any>>
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE'
WITH p LIMIT $sample
WITH collect(p) AS profiles
CALL (profiles) {
  UNWIND profiles AS p
  UNWIND [name IN keys(p) WHERE name STARTS WITH 'trait:'] AS name
  WITH name, count(*) AS many
  RETURN collect([name, many]) AS found
}
CALL (profiles) {
  UNWIND profiles AS p
  WITH p, [(p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally) | t.type] AS types
  WHERE size(types) > 0
  UNWIND CASE WHEN $type IN types THEN $of_any + $of_type ELSE $of_any END AS name
  WITH p, name WHERE p[name] IS NULL
  WITH name, count(*) AS many
  RETURN collect([name, many]) AS aggregated
}
CALL (profiles) {
  UNWIND CASE WHEN size($declared) > 0 THEN profiles ELSE [] END AS p
  WITH [(p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally) | [t.type, t.last]] AS tallies
  UNWIND $declared AS one
  WITH one[0] AS name WHERE any(t IN tallies WHERE one[1] IN ['', t[0]] AND (one[2] IS NULL OR t[1] >= one[2]))
  WITH name, count(*) AS many
  RETURN collect([name, many]) AS counted
}
RETURN size(profiles) AS looked, found, aggregated, counted
