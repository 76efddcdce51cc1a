// name: segment/preview
// summary: How many profiles satisfy a rule, and some of them.
// params: limit: Integer
// returns: size: Integer, sample: List<String>
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE' AND (true /* rule */)
CALL (p) { RETURN true AS holds /* sums */ }
WITH collect(p) AS found
RETURN size(found) AS size, [p IN found[..$limit] | p.id] AS sample
