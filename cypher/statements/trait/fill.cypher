// name: trait/fill
// summary: Of some profiles, how many show each trait; and how many were looked at.
// params: sample: Integer
// returns: looked: Integer, found: List<List<Any>>
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
RETURN size(profiles) AS looked, found
