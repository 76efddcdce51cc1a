"""What is in the database, read without the code under test, and every invariant of it as a sentence when broken.

What it should hold is computed here from the observations alone: the evidence is folded once more, and the partition
is the independent reference of ``tests/properties``.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import neo4j
from properties.reference import expected

from identity_graph.domain.evidence import (
    CannotLink,
    Evidence,
    Link,
    LinkKind,
    Observation,
    Refusal,
    RefusalCode,
    link_id,
)
from identity_graph.domain.partition import partition
from identity_graph.domain.rules import Rules
from identity_graph.services.golden import golden_properties

Row = dict[str, Any]
#: Links refused for these never bring two profiles into one component.
BY_ENDS = {"BLOCKED_VALUE", "SHARED_IDENTIFIER"}


@dataclass
class Stored:
    """Nodes and relationships as plain rows. ``home`` is where each identifier is now, by profile id."""

    identifiers: dict[str, Row]
    profiles: dict[str, Row]
    links: dict[str, Row]
    members: list[Row]
    former: list[Row]
    tombstones: list[Row]
    changes: dict[str, Row]
    records: dict[str, Row]
    observations: dict[str, Row]
    tallies: dict[str, Row]
    words: dict[str, Row]
    overrides: dict[str, Row]
    inside: list[Row]

    @property
    def home(self) -> dict[str, str]:
        return {row["key"]: row["profile"] for row in self.members}

    @property
    def active(self) -> dict[str, frozenset[str]]:
        """The members of each active profile."""
        inside: dict[str, set[str]] = {id: set() for id, p in self.profiles.items() if p["status"] == "ACTIVE"}
        for row in self.members:
            inside.setdefault(row["profile"], set()).add(row["key"])
        return {id: frozenset(keys) for id, keys in inside.items()}

    @property
    def named(self) -> set[str]:
        """The identifiers that a person's word is about."""
        said = {key for word in self.words.values() for key in (*word["one"], *word["other"])}
        said |= {o["anchor"] for o in self.overrides.values()}
        asserted = (x for x in self.links.values() if x["kind"] == "ASSERTED" and x["state"] != "RETRACTED")
        return said | {x[end] for x in asserted for end in "ab"}

    @property
    def retracted(self) -> set[str]:
        return {id for id, o in self.observations.items() if o.get("retracted")}

    @property
    def unsaid(self) -> set[str]:
        """The links that retracted observations had made."""
        gone = (self.observations[id] for id in self.retracted)
        return {
            link_id(a, b, "OBSERVED", o["source"]) for o in gone for a, b in combinations(sorted(set(o["keys"])), 2)
        }

    @property
    def shared(self) -> set[str]:
        return {key for key, row in self.identifiers.items() if row["state"] == "SHARED"}

    @property
    def blocked(self) -> set[str]:
        return {key for key, row in self.identifiers.items() if row["state"] == "BLOCKED"}

    @property
    def refused(self) -> dict[str, Refusal]:
        return {
            id: Refusal(RefusalCode(row["reason"]), tuple(row["parties"] or ()))
            for id, row in self.links.items()
            if row["state"] == "REFUSED"
        }


_READS = {
    "identifiers": "MATCH (i:Identifier) RETURN i {.*, device: i:Device, sources: split(i.sources, '\t')} AS row",
    "profiles": "MATCH (p:Profile) RETURN p {.*, limited: CASE WHEN p.limited IS NULL THEN [] "
    "ELSE split(p.limited, '\t') END, guarded: coalesce(p.guarded, false)} AS row",
    "links": "MATCH (a:Identifier)-[l:LINK]->(b:Identifier) RETURN l {.*, a: a.key, b: b.key} AS row",
    "members": "MATCH (i)-[m:MEMBER_OF]->(p) RETURN m {.*, key: i.key, profile: p.id} AS row",
    "former": "MATCH (i)-[m:WAS_MEMBER_OF]->(p) RETURN m {.*, key: i.key, profile: p.id} AS row",
    "tombstones": "MATCH (p)-[m:MERGED_INTO]->(q) RETURN m {.*, loser: p.id, survivor: q.id} AS row",
    "changes": "MATCH (c:Change) RETURN c {.*, roles: [(c)-[of:OF]->(p) | [p.id, of.role]]} AS row",
    "records": "MATCH (r:Record) RETURN r {.*, anchors: [(r)-[:HAS]->(i) | i.key]} AS row",
    "observations": "MATCH (o:Observation) RETURN o {.*, keys: split(o.keys, '\t'), event: o:Event} AS row",
    "tallies": "MATCH (t:Tally) RETURN t {.*, of: [(t)-[:COUNTS]->(i) | i.key]} AS row",
    "words": "MATCH (c:CannotLink) RETURN c {.*, one: [(c)<-[:APART {side: 0}]-(i) | i.key], "
    "other: [(c)<-[:APART {side: 1}]-(i) | i.key]} AS row",
    "overrides": "MATCH (o:Override)-[:OVERRIDES]->(i) RETURN o {.*, anchor: i.key} AS row",
    "inside": "MATCH (p)-[:IN_SEGMENT]->(s) RETURN {profile: p.id, segment: s.name} AS row",
}
_NAME = {"identifiers": "key", "records": "key", "tallies": "key", "overrides": "key"}


def read(driver: neo4j.Driver) -> Stored:
    def work(tx: neo4j.ManagedTransaction) -> dict[str, list[Row]]:
        return {name: [record["row"] for record in tx.run(text)] for name, text in _READS.items()}

    with driver.session() as session:
        rows = session.execute_read(work)
    lists = {name: rows.pop(name) for name in ("members", "former", "tombstones", "inside")}
    named = {name: {row[_NAME.get(name, "id")]: row for row in found} for name, found in rows.items()}
    assert all(len(named[name]) == len(rows[name]) for name in rows), "something has one name twice"
    return Stored(**named, **lists)


def observable(stored: Stored) -> dict[str, Any]:
    """All that is to be seen of people, whatever it rests on: not the evidence, which an undo adds to, nor versions."""
    seen = ("state", "device", "first_seen", "last_seen")
    shown = {id: {k: v for k, v in stored.profiles[id].items() if ":" in k} for id in stored.active}
    said = ("source", "record_id", "traits", "observed_at", "digest", "anchors")
    words = ("trait", "traits", "observed_at", "actor", "reason", "anchor")
    standing = [o for o in stored.overrides.values() if "until" not in o]
    return {
        "members": stored.home,
        "identifiers": {
            key: [*(i[name] for name in seen), sorted(i["sources"])] for key, i in stored.identifiers.items()
        },
        "traits": {id: repr(sorted(traits.items())) for id, traits in shown.items()},
        "records": {key: [r.get(name) for name in said] for key, r in stored.records.items()},
        "overrides": sorted([o[name] for name in words] for o in standing),
        "events": {id for id, o in stored.observations.items() if o["event"]},
        "tallies": stored.tallies,
        "segments": sorted((row["segment"], row["profile"]) for row in stored.inside),
    }


def empty(driver: neo4j.Driver) -> None:
    """Delete everything but the schema."""
    with driver.session() as session:
        session.run(
            "MATCH (n) WHERE NOT n:Migration CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS"
        ).consume()


# --- What the observations amount to


def folded(observations: Iterable[Observation], stored: Stored) -> Evidence:
    """The evidence of observations that were taken, each once, and of what people said."""
    identifiers: set[str] = set()
    links: dict[str, Link] = {}
    for o in observations:
        keys = sorted({i.key for i in o.identifiers})
        identifiers.update(keys)
        for n, a in enumerate(keys):
            for b in keys[n + 1 :]:
                id = link_id(a, b, "OBSERVED", o.source)
                old = links.get(id) or Link(id, a, b, o.source, o.observed_at, o.observed_at, 0)
                first, last = min(old.first_seen, o.observed_at), max(old.last_seen, o.observed_at)
                links[id] = replace(old, first_seen=first, last_seen=last, count=old.count + 1)
    for id, x in stored.links.items():
        if x["kind"] == "ASSERTED" and x["state"] != "RETRACTED":
            seen = x["first_seen"], x["last_seen"], x["count"]
            links[id] = Link(id, x["a"], x["b"], x["source"], *seen, LinkKind.ASSERTED)
    apart = (
        CannotLink(c["id"], frozenset(c["one"]), frozenset(c["other"]))
        for c in stored.words.values()
        if "lifted_at" not in c
    )
    return Evidence(frozenset(identifiers | stored.named), tuple(links.values()), frozenset(apart))


# --- Invariants


def problems(
    stored: Stored,
    taken: Collection[Observation],
    rules: Rules,
    junk: Collection[str],
    *,
    by_definition: bool = True,
) -> list[str]:
    """Everything that is wrong with a graph that took these observations, and what people said that stands in it.

    ``by_definition`` compares with the slow reference too, which is for small graphs.
    """
    evidence = folded(taken, stored)
    return [
        *_identifiers(stored, taken, evidence),
        *_links(stored, evidence),
        *_partition(stored, evidence, rules, junk, by_definition),
        *_profiles(stored, rules, evidence),
        *_tombstones(stored),
        *_timelines(stored),
        *_lineage(stored),
        *_records(stored, taken),
        *_observations(stored, taken),
        *_golden(stored, rules),
        *_tallies(stored, taken),
    ]


def _differ(what: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        f"{what} of {name} is {found.get(name)}, expected {wanted.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]


def _identifiers(stored: Stored, taken: Iterable[Observation], evidence: Evidence) -> list[str]:
    seen: dict[str, list[Observation]] = defaultdict(list)
    for o in taken:
        for identifier in o.identifiers:
            seen[identifier.key].append(o)
    wanted = {
        key: (min(o.observed_at for o in said), max(o.observed_at for o in said), {o.source for o in said})
        for key, said in seen.items()
    }
    found = {
        key: (i["first_seen"], i["last_seen"], set(i["sources"]))
        for key, i in stored.identifiers.items()
        if key in wanted or key not in stored.named
    }
    lists = [f"a source stands twice at {key}" for key, i in stored.identifiers.items() if _twice(i["sources"])]
    assert wanted.keys() | stored.named == evidence.identifiers
    return [*_differ("first, last and sources", found, wanted), *lists]


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _links(stored: Stored, evidence: Evidence) -> list[str]:
    wanted = {x.id: (x.a, x.b, x.source, x.first_seen, x.last_seen, x.count, x.kind) for x in evidence.links}
    found = {
        id: (x["a"], x["b"], x["source"], x["first_seen"], x["last_seen"], x["count"], x["kind"])
        for id, x in stored.links.items()
        if x["state"] != "RETRACTED"
    }
    return _differ("what was said", found, wanted)


def _partition(
    stored: Stored, evidence: Evidence, rules: Rules, junk: Collection[str], by_definition: bool
) -> list[str]:
    wanted = partition(evidence, rules)
    profiles = set(stored.active.values())
    found = [f"profile {sorted(part)} should not be" for part in profiles - wanted.profiles]
    found += [f"profile {sorted(part)} is missing" for part in wanted.profiles - profiles]
    found += _differ("refusal", stored.refused, wanted.refused)
    found += [f"shared are {stored.shared}, expected {wanted.shared}"] if stored.shared != wanted.shared else []
    if by_definition:
        reference = expected(evidence, rules, junk)
        if reference.profiles != profiles:
            found.append(f"the reference has {sorted(map(sorted, reference.profiles))}")
        if reference.shared != stored.shared:
            found.append(f"the reference has {reference.shared} shared")
        if reference.refused.keys() != stored.refused.keys():
            found.append(f"the reference refuses {sorted(reference.refused)}, stored are {sorted(stored.refused)}")
        found += [
            f"the reference knows no reason {refusal.code} for {id}"
            for id, refusal in stored.refused.items()
            if refusal.code not in reference.refused.get(id, set())
        ]
    return found


def _profiles(stored: Stored, rules: Rules, evidence: Evidence) -> list[str]:
    found = [f"{key} is a member twice" for key in _twice(row["key"] for row in stored.members)]
    found += [f"{row['key']} has the member {row['member']}" for row in stored.members if row["member"] != row["key"]]
    home = stored.home
    homeless = stored.identifiers.keys() - stored.blocked - home.keys()
    found += [f"{key} is in no profile" for key in homeless]
    found += [f"{key} is junk and in a profile" for key in stored.blocked & home.keys()]
    refused: Counter[str] = Counter()
    for id, refusal in stored.refused.items():
        if refusal.code not in BY_ENDS:
            ends = [home.get(stored.links[id][end]) for end in "ab"]
            refused.update(end for end in ends if end)
    guarded = {key for word in evidence.cannot_links for key in word.keys}
    for id, keys in stored.active.items():
        p = stored.profiles[id]
        limited = sorted(filter(rules.counted_with, keys))
        wanted = ("ACTIVE", len(keys), refused[id], limited, bool(keys & guarded))
        got = (p["status"], p["size"], p["refused"], sorted(p["limited"]), p["guarded"])
        if got != wanted or not keys:
            found.append(f"profile {id} says {got}, expected {wanted}")
    return found


def _tombstones(stored: Stored) -> list[str]:
    found = [f"{id} was merged twice" for id in _twice(row["loser"] for row in stored.tombstones)]
    merged = {id for id, p in stored.profiles.items() if p["status"] == "MERGED"}
    if merged != {row["loser"] for row in stored.tombstones}:
        found.append("not the merged profiles, and only they, lead to a survivor")
    found += [
        f"{row['loser']} leads to {row['survivor']}, which was merged too"
        for row in stored.tombstones
        if row["survivor"] in merged
    ]
    for row in stored.tombstones:
        p, change = stored.profiles[row["loser"]], stored.changes.get(row["change"])
        if (p["size"], p["refused"], p["limited"]) != (0, 0, []):
            found.append(f"the tombstone {p['id']} still holds something")
        if not change or change["kind"] != "MERGED" or [row["loser"], "MERGED"] not in change["roles"]:
            found.append(f"the merge of {p['id']} has no change {row['change']}")
        elif change["at"] != row["at"]:
            found.append(f"the merge of {p['id']} is dated {row['at']}, its change {change['at']}")
    return found


def _timelines(stored: Stored) -> list[str]:
    """An identifier's memberships follow each other without a gap, each move is told by one change, and these lead from
    where identifiers joined to where they are.
    """
    found: list[str] = []
    spans: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in stored.former:
        spans[row["key"]].append((row["since"], row["until"], row["profile"]))
        if row["since"] > row["until"]:
            found.append(f"{row['key']} was a member until {row['until']}, before it became one at {row['since']}")
    now = {row["key"]: row for row in stored.members}
    told = Counter(
        (key, source, target, c["at"]) for c in stored.changes.values() for source, target, key in moves_of(c, stored)
    )
    moved: Counter[tuple[str, str, str, int]] = Counter()
    left = {
        (key, c["at"]) for c in stored.changes.values() if c["kind"] in ("RETRACTED", "BLOCKED") for key in c["moved"]
    }
    for key in spans.keys() | now.keys():
        line = sorted(spans.get(key, []))
        if row := now.get(key):
            line.append((row["since"], row["since"], row["profile"]))
        elif (key, line[-1][1]) not in left:
            found.append(f"{key} was a member and is none")
        for (_, until, before), (since, _, after) in pairwise(line):
            if (key, until) in left:
                continue
            if until != since:
                found.append(f"{key} left {before} at {until} and came to {after} at {since}")
            moved[key, before, after, since] += 1
    found += [f"{key} moved {before} to {after} at {at}, untold" for key, before, after, at in moved - told]
    found += [f"{key} is told to have moved {before} to {after} at {at}" for key, before, after, at in told - moved]
    return [*found, *_differ("the end of all changes", replayed(stored), stored.home)]


def replayed(stored: Stored) -> dict[str, str]:
    """Where identifiers are after all changes, one after the other, from the profiles that they joined."""
    home = {key: i["joined"] for key, i in stored.identifiers.items() if "joined" in i}
    joined = dict(home)
    for c in sorted(stored.changes.values(), key=lambda c: (c["at"], c["id"])):
        if c["kind"] in ("RETRACTED", "BLOCKED"):
            # Whoever is there again has joined again.
            home |= {key: joined[key] for key in c["moved"] if key in joined}
        home |= {key: target for _, target, key in moves_of(c, stored) if key in joined}
    return home


def moves_of(change: Row, stored: Stored) -> list[tuple[str, str, str]]:
    """The moves of a change, as (source, target, key)."""
    roles = defaultdict(list)
    for id, role in change["roles"]:
        roles[role].append(id)
    if not roles or roles["PARTY"] or change["kind"] == "UNBLOCKED":
        return []
    (target,) = roles["SURVIVOR"] + roles["TARGET"] + roles["CREATED"] + roles["RESTORED"]
    sources = roles["MERGED"] + roles["SOURCE"]
    if len(sources) == 1:
        return [(sources[0], target, key) for key in change["moved"]]
    left = {
        row["key"]: row["profile"]
        for row in stored.former
        if row["until"] == change["at"] and row["profile"] in sources and row["key"] in change["moved"]
    }
    return [(left.get(key, "nowhere"), target, key) for key in change["moved"]]


def _lineage(stored: Stored) -> list[str]:
    found: list[str] = []
    born = {id for c in stored.changes.values() for id, role in c["roles"] if role == "CREATED"}
    kinds = {
        "MERGED": [{"SURVIVOR", "MERGED"}],
        "MOVED": [{"SOURCE", "TARGET"}],
        "SPLIT": [{"SOURCE", "CREATED"}, {"SOURCE", "RESTORED"}],
        "CANNOT_LINK_SET": [{"PARTY"}],
        "CANNOT_LINK_REMOVED": [{"PARTY"}],
        "OVERRIDE_SET": [{"PARTY"}],
        "OVERRIDE_REMOVED": [{"PARTY"}],
        "LINK_ASSERTED": [{"PARTY"}],
        "LINK_WITHDRAWN": [{"PARTY"}],
        # Of junk values alone it is nobody's.
        "RETRACTED": [{"PARTY"}, set[str]()],
        "RESTORED": [{"PARTY"}, set[str]()],
        "LINK_REFUSED": [{"PARTY"}],
        "LINK_ACCEPTED": [{"PARTY"}],
        "RULES_CHANGED": [set[str]()],
        "BLOCKED": [{"PARTY"}],
        "UNBLOCKED": [{"CREATED"}, {"RESTORED"}],
    }
    known = stored.links.keys() | stored.unsaid
    for id, c in stored.changes.items():
        if {role for _, role in c["roles"]} not in kinds[c["kind"]]:
            found.append(f"{c['kind']} {id} has the roles {c['roles']}")
        if c["cause"] in ("STEWARD", "RULES"):
            if not (c.get("act") and c.get("actor") and c.get("reason")):
                found.append(f"{c['kind']} {id} does not say who did it and why")
            continue
        if c.get("link") not in known:
            found.append(f"{c['kind']} {id} names no link")
        if c.get("observation") not in stored.observations:
            found.append(f"{c['kind']} {id} names no observation")
    for id, p in stored.profiles.items():
        if (p.get("created_by") is None) != (id in born):
            found.append(f"profile {id} came by {p.get('created_by')} and by {'a' if id in born else 'no'} split")
        if id not in born and p.get("created_by") not in stored.observations:
            found.append(f"profile {id} was created by no observation")
        if p.get("created_link") is not None and p["created_link"] not in known:
            found.append(f"profile {id} was created by no link")
    return found


def _records(stored: Stored, taken: Iterable[Observation]) -> list[str]:
    newest: dict[str, Observation] = {}
    for o in taken:
        if o.traits is not None and o.record_key:
            old = newest.get(o.record_key)
            if old is None or (o.observed_at, o.digest) > (old.observed_at, old.digest):
                newest[o.record_key] = o
    wanted = {
        key: (o.source, o.record_id, o.observed_at, o.digest, [o.anchor.key]) for key, o in newest.items() if o.anchor
    }
    found = {
        key: (r["source"], r.get("record_id"), r["observed_at"], r["digest"], r["anchors"])
        for key, r in stored.records.items()
    }
    return _differ("record", found, wanted)


def _golden(stored: Stored, rules: Rules) -> list[str]:
    """Each profile shows what the records of its members amount to, from scratch."""
    said: dict[str, list[Row]] = defaultdict(list)
    for r in stored.records.values():
        said[stored.home.get(r["anchors"][0], "")].append(r)
    for o in stored.overrides.values():
        if "until" not in o:
            said[stored.home.get(o["anchor"], "")].append(o)
    fields = ("source", "observed_at", "traits", "key", "reason")
    wanted = {
        id: golden_properties([[r.get(field) for field in fields] for r in said[id]], rules) for id in stored.profiles
    }
    found = {
        id: {name: value for name, value in p.items() if name.startswith(("trait:", "date:"))}
        for id, p in stored.profiles.items()
    }
    # As text, where true is not 1.0.
    return _differ(
        "golden record", *({id: repr(sorted(p.items())) for id, p in one.items()} for one in (found, wanted))
    )


def _observations(stored: Stored, taken: Iterable[Observation]) -> list[str]:
    wanted = {
        o.id: (
            *(o.digest, o.source, o.observed_at, sorted(i.key for i in o.identifiers)),
            (o.anchor.key, o.event.type, o.event.properties, o.event.amount) if o.event and o.anchor else None,
        )
        for o in taken
    }
    found = {
        id: (
            *(o["digest"], o["source"], o["observed_at"], sorted(o["keys"])),
            (o["by"], o["type"], o["properties"], o.get("amount")) if o["event"] else None,
        )
        for id, o in stored.observations.items()
        if id not in stored.retracted
    }
    return _differ("observation", found, wanted)


def _tallies(stored: Stored, taken: Iterable[Observation]) -> list[str]:
    wanted: dict[str, Row] = {}
    for o in taken:
        if o.event and o.anchor:
            by, type, at = o.anchor.key, o.event.type, o.observed_at
            key = f"{by}\t{type}\t{o.source}"
            t = wanted.setdefault(
                key,
                {"key": key, "type": type, "source": o.source, "count": 0, "amount": 0, "of": [by]}
                | {"first": at, "last": at},
            )
            t["count"] += 1
            t["amount"] += o.event.amount or 0
            t["first"], t["last"] = min(t["first"], at), max(t["last"], at)
    return _differ("tally", stored.tallies, wanted)
