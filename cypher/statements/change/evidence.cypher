// name: change/evidence
// summary: Keep with changes what the model says now of the links that brought them about.
// params: ids: List<String>
// returns: none
// access: write
// index: change_id, link_id
UNWIND $ids AS id
MATCH (c:Change {id: id})
WITH c, c.link AS link
MATCH ()-[l:LINK {id: link}]->()
USING INDEX SEEK l:LINK(id)
WHERE l.kind = 'MATCHED'
SET c.matched_by = l.source, c.weight = l.weight, c.probability = l.probability, c.levels = l.levels
