// name: verify/counts
// summary: How much there is. Two readings differ if something was written in between.
// params: none
// returns: counts: Map
// access: read
// index: none
RETURN {
  identifiers: COUNT { (:Identifier) },
  profiles: COUNT { (:Profile) },
  records: COUNT { (:Record) },
  observations: COUNT { (:Observation) },
  events: COUNT { (:Event) },
  changes: COUNT { (:Change) },
  links: COUNT { ()-[:LINK]->() },
  memberships: COUNT { ()-[:MEMBER_OF]->() },
  earlier_memberships: COUNT { ()-[:WAS_MEMBER_OF]->() },
  segment_memberships: COUNT { ()-[:IN_SEGMENT]->() }
} AS counts
