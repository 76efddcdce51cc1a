// name: retraction/links
// summary: How often and when links were observed, of what is left, and those that nobody supports any more. Rows: id, first_seen, last_seen, count.
// params: rows: List<List<Any>>, withdrawn: List<String>
// returns: none
// access: write
// index: link_id
CALL () {
  UNWIND $rows AS row
  MATCH ()-[l:LINK {id: row[0]}]->()
  USING INDEX SEEK l:LINK(id)
  SET l.first_seen = row[1], l.last_seen = row[2], l.count = row[3]
}
CALL () {
  UNWIND $withdrawn AS id
  MATCH ()-[l:LINK {id: id}]->()
  USING INDEX SEEK l:LINK(id)
  DELETE l
}
