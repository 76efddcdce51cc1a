// Observations that people took back or brought back, by the act; what nobody names any more, for the past.
CREATE INDEX observation_retracted IF NOT EXISTS FOR (o:Observation) ON (o.retracted);
CREATE INDEX observation_restored IF NOT EXISTS FOR (o:Observation) ON (o.restored);
CREATE INDEX retracted_identifier_key IF NOT EXISTS FOR (i:RetractedIdentifier) ON (i.key);
CREATE INDEX retracted_record_key IF NOT EXISTS FOR (r:RetractedRecord) ON (r.key);
