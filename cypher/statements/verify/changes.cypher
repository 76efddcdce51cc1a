// name: verify/changes
// summary: The identifiers that each change moved, when, and to which profiles; not those that came from none.
// params: none
// returns: change: String, at: Integer, moved: List<String>, targets: List<String>
// access: read
// index: none
MATCH (c:Change) WHERE size(c.moved) > 0 AND c.kind <> 'UNBLOCKED'
RETURN c.id AS change, c.at AS at, c.moved AS moved,
  [(c)-[of:OF]->(p:Profile) WHERE of.role IN ['SURVIVOR', 'TARGET', 'CREATED', 'RESTORED'] | p.id] AS targets
