// name: retraction/unsaid
// summary: Identifiers that only a person's word still names: no source saw them. Their partners are nobody.
// params: elements: List<String>
// returns: none
// access: write
// index: none
UNWIND $elements AS element
MATCH (i:Identifier) WHERE elementId(i) = element
SET i.sources = '', i.partners = null
