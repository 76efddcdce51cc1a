// name: identifier/touch
// summary: Widen when and by whom identifiers were seen. What no profile guards is locked first, as profile/lock does. Rows: element, first_seen, last_seen, sources, partners (null: unchanged), state (null: unchanged).
// params: rows: List<List<Any>>
// returns: none
// access: write
// index: none
UNWIND $rows AS row
MATCH (i:Identifier) WHERE elementId(i) = row[0]
FOREACH (_ IN CASE WHEN i.state = 'ACTIVE' THEN [] ELSE [1] END | SET i.lock = 0)
SET i.first_seen = CASE WHEN row[1] < i.first_seen THEN row[1] ELSE i.first_seen END,
    i.last_seen = CASE WHEN row[2] > i.last_seen THEN row[2] ELSE i.last_seen END,
    i.sources = reduce(known = i.sources, source IN row[3] |
      CASE WHEN source IN split(known, '\t') THEN known ELSE known + '\t' + source END),
    i.partners = coalesce(row[4], i.partners),
    i.state = coalesce(row[5], i.state)
