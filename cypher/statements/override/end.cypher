// name: override/end
// summary: Take back what people said of traits, by an act, and which act this undoes (null: none). It stays on record.
// params: elements: List<String>, act: String, at: Integer, undoes: String
// returns: none
// access: write
// index: none
UNWIND $elements AS element
MATCH (o:Override) WHERE elementId(o) = element
SET o.until = $at, o.ended_by = $act, o.undone = $undoes IS NOT NULL
