// name: batch/write
// summary: All that was decided of a batch, in one round trip, which costs as much as ten rows do; the elements of new profiles, and what golden records and segments need. A list that is left out is empty. Profiles and identifiers are numbered in the order in which they come.
// params: rows: Map, at: Integer, by: Map
// returns: made: List<String>, golden: List<List<Any>>, revisions: List<List<String>>, superseded: Boolean
// access: write
// index: link_id, record_key, revision_key, rules_version, tally_key
CALL () {
  // New profiles: id, size, refused links, limited keys, observation, link, guarded (null: none, no).
  UNWIND $rows.new_profiles AS row
  CREATE (p:Profile {
    id: row[0], status: 'ACTIVE', created_at: $at, size: row[1], version: 1, lock: 0, refused: row[2], limited: row[3],
    created_by: row[4], created_link: row[5], guarded: row[6]
  })
  RETURN collect(p) AS born
}
CALL () {
  // Profiles that hold something else: element, size, refused links, limited keys, guarded.
  UNWIND $rows.profiles AS row
  MATCH (p:Profile) WHERE elementId(p) = row[0]
  SET p.size = row[1], p.refused = row[2], p.limited = row[3], p.guarded = row[4], p.version = p.version + 1
  RETURN collect(p) AS changed
}
CALL () {
  // Other profiles that take part in what follows.
  UNWIND $rows.other_profiles AS element
  MATCH (p:Profile) WHERE elementId(p) = element
  RETURN collect(p) AS others
}
WITH born, born + changed + others AS profiles
CALL (profiles) {
  // New identifiers, created in their final profile: key, raw, first_seen, last_seen, sources, state, partners, is a
  // device, profile.
  UNWIND $rows.new_identifiers AS row
  WITH row, profiles[row[8]] AS p
  CREATE (i:Identifier {
    key: row[0], raw: row[1], first_seen: row[2], last_seen: row[3], sources: row[4], state: row[5], partners: row[6],
    joined: p.id
  })-[:MEMBER_OF {member: row[0], since: $at}]->(p)
  FOREACH (_ IN CASE WHEN row[7] THEN [1] ELSE [] END | SET i:Device)
  RETURN collect(i) AS new
}
CALL () {
  // Junk stays visible, in no profile: key, raw, first_seen, last_seen, sources.
  UNWIND $rows.new_junk AS row
  CREATE (i:Identifier {
    key: row[0], raw: row[1], first_seen: row[2], last_seen: row[3], sources: row[4], state: 'BLOCKED'
  })
  RETURN collect(i) AS junk
}
CALL () {
  // Identifiers that were seen again: element, first_seen, last_seen, sources, partners, state (null: unchanged). What
  // no profile guards is locked first, as batch/lock does. Without a source it was only named by a person so far. Its
  // former states and sources are kept, each until when, and so is when it was first seen; of when it was last seen, which
  // changes with nearly each sight, only since when that is so. See domain/past.
  UNWIND $rows.identifiers AS row
  MATCH (i:Identifier) WHERE elementId(i) = row[0]
  FOREACH (_ IN CASE WHEN i.state = 'ACTIVE' THEN [] ELSE [1] END | SET i.lock = 0)
  SET i.firsts = CASE WHEN row[1] < i.first_seen OR i.sources = '' THEN coalesce(i.firsts, []) + [$at, i.first_seen]
        ELSE i.firsts END,
      i.last_since = CASE WHEN row[2] > i.last_seen OR i.sources = '' THEN $at ELSE i.last_since END,
      i.first_seen = CASE WHEN row[1] < i.first_seen OR i.sources = '' THEN row[1] ELSE i.first_seen END,
      i.last_seen = CASE WHEN row[2] > i.last_seen OR i.sources = '' THEN row[2] ELSE i.last_seen END,
      i.was = CASE WHEN row[5] IS NULL AND all(source IN row[3] WHERE source IN split(i.sources, '\t')) THEN i.was
        ELSE coalesce(i.was + '\n', '') + toString($at) + '\t' + i.state + '\t' + i.sources END,
      i.sources = reduce(known = i.sources, source IN row[3] |
        CASE WHEN known = '' THEN source WHEN source IN split(known, '\t') THEN known ELSE known + '\t' + source END),
      i.partners = coalesce(row[4], i.partners),
      i.state = coalesce(row[5], i.state)
  RETURN collect(i) AS touched
}
WITH born, profiles, new + junk + touched AS identifiers
CALL (identifiers) {
  // Links that cannot exist yet, since one of their ends is new: from, to, id, source, first_seen, last_seen, count,
  // state, reason, parties.
  UNWIND $rows.new_links AS row
  WITH row, identifiers[row[0]] AS a, identifiers[row[1]] AS b
  CREATE (a)-[:LINK {
    id: row[2], kind: 'OBSERVED', source: row[3], first_seen: row[4], last_seen: row[5], count: row[6], state: row[7],
    reason: row[8], parties: row[9]
  }]->(b)
}
CALL (identifiers) {
  // Links of which only the database knows whether they are new: the same.
  UNWIND $rows.links AS row
  OPTIONAL MATCH ()-[l:LINK {id: row[2]}]->()
  USING INDEX SEEK l:LINK(id)
  CALL (row, l) {
    WITH row, l WHERE l IS NOT NULL
    SET l.first_seen = CASE WHEN row[4] < l.first_seen THEN row[4] ELSE l.first_seen END,
        l.last_seen = CASE WHEN row[5] > l.last_seen THEN row[5] ELSE l.last_seen END,
        l.count = l.count + row[6]
  }
  WITH row, identifiers[row[0]] AS a, identifiers[row[1]] AS b WHERE l IS NULL
  CREATE (a)-[:LINK {
    id: row[2], kind: 'OBSERVED', source: row[3], first_seen: row[4], last_seen: row[5], count: row[6], state: row[7],
    reason: row[8], parties: row[9]
  }]->(b)
}
CALL () {
  // Links that conduct, or are refused for a reason: id, state, reason, parties.
  UNWIND $rows.verdicts AS row
  MATCH ()-[l:LINK {id: row[0]}]->()
  USING INDEX SEEK l:LINK(id)
  SET l.state = row[1], l.reason = row[2], l.parties = row[3]
}
CALL (profiles) {
  // All members of a profile that loses its id go to its survivor: loser, survivor.
  UNWIND $rows.absorb AS row
  WITH row, profiles[row[0]] AS loser, profiles[row[1]] AS survivor
  CALL (loser, survivor) {
    MATCH (i:Identifier)-[m:MEMBER_OF]->(loser)
    CREATE (i)-[:WAS_MEMBER_OF {since: m.since, until: $at}]->(loser)
    DELETE m
    WITH survivor, i ORDER BY i.key
    WITH survivor, collect(i) AS members
    UNWIND members AS i
    CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(survivor)
    RETURN collect(i.key) AS keys
  }
  RETURN collect([row[0], keys]) AS absorbed
}
CALL (profiles) {
  // Single identifiers move: identifier element, profile.
  UNWIND $rows.move AS row
  MATCH (i:Identifier) WHERE elementId(i) = row[0]
  MATCH (i)-[m:MEMBER_OF]->(old:Profile)
  CREATE (i)-[:WAS_MEMBER_OF {since: m.since, until: $at}]->(old)
  DELETE m
  WITH profiles, collect([i, row[1]]) AS moves
  UNWIND moves AS move
  WITH move[0] AS i, profiles[move[1]] AS p
  CREATE (i)-[:MEMBER_OF {member: i.key, since: $at}]->(p)
}
CALL (profiles) {
  // Profiles that lost their id become tombstones, and every older tombstone points at today's survivor: loser,
  // survivor, change id.
  UNWIND $rows.entomb AS row
  WITH row, profiles[row[0]] AS loser, profiles[row[1]] AS survivor
  SET loser.status = 'MERGED', loser.size = 0, loser.refused = 0, loser.limited = null, loser.version = loser.version + 1
  CREATE (loser)-[:MERGED_INTO {at: $at, change: row[2]}]->(survivor)
  WITH loser, survivor
  MATCH (older:Profile)-[old:MERGED_INTO]->(loser)
  CREATE (older)-[:MERGED_INTO {at: old.at, change: old.change}]->(survivor)
  DELETE old
}
CALL (profiles, absorbed) {
  // Lineage: id, kind, link id, observation id, moved keys (null: all of whom it absorbed), participants as pairs of
  // profile and role, the last one absorbed, version of the model whose link it was (null: none's).
  UNWIND $rows.changes AS row
  CREATE (c:Change {
    id: row[0], kind: row[1], cause: $by.kind, link: row[2], observation: row[3], at: $at,
    act: $by.act, actor: $by.actor, reason: $by.reason, rules_version: $by.rules, matched_by: row[6],
    moved: coalesce(row[4], head([one IN absorbed WHERE one[0] = row[5][-1][0] | one[1]]), [])
  })
  WITH c, profiles, row
  UNWIND row[5] AS participant
  WITH c, profiles[participant[0]] AS p, participant[1] AS role
  CREATE (c)-[:OF {role: role}]->(p)
}
CALL (identifiers) {
  // Each record's newest row; of two rows of one moment the greater digest wins, so order never matters. What it said
  // before is kept with the time in which it stood, and so is a row that is outdated, in case the newer one is taken
  // back. With it stands what the active model reads of it, see record/prepare: key, source, record_id, traits,
  // observed_at, digest, identifier, fields (null: no model), model, mark, blocks.
  UNWIND $rows.records AS row
  MERGE (r:Record {key: row[0]})
  ON CREATE SET r.source = row[1], r.record_id = row[2], r.observed_at = -1, r.digest = ''
  WITH row, r, identifiers[row[6]] AS i,
    row[4] > r.observed_at OR (row[4] = r.observed_at AND row[5] > r.digest) AS newer
  FOREACH (_ IN CASE WHEN newer AND r.since IS NOT NULL THEN [1] ELSE [] END |
    CREATE (r)-[:WAS]->(:RecordVersion {
      traits: r.traits, observed_at: r.observed_at, digest: r.digest, since: r.since, until: $at
    })
  )
  FOREACH (_ IN CASE WHEN newer OR r.digest = row[5] THEN [] ELSE [1] END |
    CREATE (r)-[:WAS]->(:RecordVersion {traits: row[3], observed_at: row[4], digest: row[5]})
  )
  FOREACH (_ IN CASE WHEN newer THEN [1] ELSE [] END |
    SET r.traits = row[3], r.observed_at = row[4], r.digest = row[5], r.since = $at
  )
  FOREACH (_ IN CASE WHEN r.digest = row[5] AND row[7] IS NOT NULL THEN [1] ELSE [] END |
    SET r.fields = row[7], r.model = row[8], r.unmatched = row[9],
        r.block_1 = row[10][0], r.block_2 = row[10][1], r.block_3 = row[10][2], r.block_4 = row[10][3],
        r.block_5 = row[10][4], r.block_6 = row[10][5], r.block_7 = row[10][6], r.block_8 = row[10][7],
        r.block_9 = row[10][8], r.block_10 = row[10][9], r.block_11 = row[10][10], r.block_12 = row[10][11],
        r.block_13 = row[10][12], r.block_14 = row[10][13], r.block_15 = row[10][14], r.block_16 = row[10][15]
  )
  MERGE (r)-[:HAS]->(i)
}
CALL () {
  // Rows that the same batch makes outdated: key of the record, traits, observed_at, digest.
  UNWIND $rows.outdated AS row
  MATCH (r:Record {key: row[0]})
  CREATE (r)-[:WAS]->(:RecordVersion {traits: row[1], observed_at: row[2], digest: row[3]})
}
CALL (profiles) {
  // What the golden records of profiles show, and what all their records and people say, see record/traits; only of
  // those that have or had any.
  // A shared identifier joins nobody, so the profile of its record is held only from here on.
  UNWIND $rows.golden AS number
  WITH profiles[number] AS p
  SET p.lock = 0
  WITH p
  CALL (p) {
    MATCH (p)<-[:MEMBER_OF]-(:Identifier)<-[:HAS|OVERRIDES|SCORES]-(r) WHERE r.until IS NULL
    RETURN collect([r.source, r.observed_at, r.traits, r.key, r.reason]) AS records
  }
  WITH p, records, [name IN keys(p) WHERE name STARTS WITH 'trait:' OR name STARTS WITH 'date:' | [name, p[name]]] AS shown
  WHERE size(records) > 0 OR size(shown) > 0
  RETURN collect([elementId(p), shown, records]) AS golden
}
CALL () {
  // What was observed and what came of it, so that a repeat gives the same answer: id, digest, source, observed_at,
  // keys, result.
  UNWIND $rows.observations AS row
  CREATE (:Observation {
    id: row[0], digest: row[1], source: row[2], observed_at: row[3], keys: row[4], result: row[5], at: $at
  })
}
CALL () {
  // Observations that tell of an event: the same, then key of the identifier that it is by, type, properties, amount
  // (null: none).
  UNWIND $rows.events AS row
  CREATE (:Observation:Event {
    id: row[0], digest: row[1], source: row[2], observed_at: row[3], keys: row[4], result: row[5], at: $at,
    by: row[6], type: row[7], properties: row[8], amount: row[9]
  })
}
CALL (identifiers) {
  // Counts of events. The transaction holds their identifiers, and so these tallies; one that counts no others is new:
  // key, identifier, type, source, count, first, last, amount.
  UNWIND $rows.tallies AS row
  MERGE (t:Tally {key: row[0]})
  ON CREATE SET t.type = row[2], t.source = row[3], t.count = 0, t.first = row[5], t.last = row[6], t.amount = 0
  SET t.count = t.count + row[4], t.amount = t.amount + row[7],
      t.first = CASE WHEN row[5] < t.first THEN row[5] ELSE t.first END,
      t.last = CASE WHEN row[6] > t.last THEN row[6] ELSE t.last END
  WITH row, t, identifiers[row[1]] AS i WHERE t.count = row[4]
  CREATE (t)-[:COUNTS]->(i)
}
CALL () {
  // The same as revision/read.
  UNWIND ['segments', 'traits'] AS key
  MATCH (r:Revision {key: key})
  RETURN collect([key, r.revision]) AS revisions
}
CALL () {
  // Whether other rules took the place of those that decided.
  OPTIONAL MATCH (r:Rules {version: $by.rules})
  RETURN NOT coalesce(r.active, true) AS superseded
}
RETURN [p IN born | elementId(p)] AS made, golden, revisions, superseded
