// name: record/page
// summary: Records in the order of their keys, as a model is to read them, and the identifiers that hold them.
// params: after: String, limit: Integer
// returns: found: List<List<Any>>
// access: read
// index: record_key
MATCH (r:Record) WHERE r.key > $after
WITH r ORDER BY r.key LIMIT $limit
RETURN collect([
  r.key, r.digest, r.source, r.traits, r.model,
  CASE WHEN r.record_id IS NULL THEN substring(r.key, size(r.source) + 1) ELSE 'record:' + r.key END
]) AS found
