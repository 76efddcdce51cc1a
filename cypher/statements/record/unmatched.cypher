// name: record/unmatched
// summary: Some records that wait for their matching.
// params: unmatched: Integer, limit: Integer
// returns: keys: List<String>
// access: read
// index: record_unmatched
MATCH (r:Record {unmatched: $unmatched})
USING INDEX SEEK r:Record(unmatched)
WITH r LIMIT $limit
RETURN collect(r.key) AS keys
