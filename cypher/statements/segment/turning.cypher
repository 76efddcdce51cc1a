// name: segment/turning
// summary: Profiles that time alone may make satisfy a rule, or not.
// params: none
// returns: elements: List<String>
// access: read
// index: none
MATCH (p:Profile) WHERE p.status = 'ACTIVE' AND (true /* rule */)
CALL (p) { RETURN true AS holds /* sums */ }
RETURN collect(elementId(p)) AS elements
