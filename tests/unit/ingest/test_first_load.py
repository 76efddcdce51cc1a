"""The first load decides what the write path decides of the same observations in one batch, down to each property."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from properties.worlds import RULES, SAID, observed

from identity_graph.domain.decision import BLOCKED, Component, decide, outcomes, survey
from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import Rules
from identity_graph.services.bulk_load import SEPARATOR, Gathering, Load
from identity_graph.services.ingest_batches import Batch, pack
from identity_graph.services.observe import from_text

Things = dict[str, dict[str, Any]]


def decided(batch: Sequence[Observation], rules: Rules) -> dict[str, Things]:
    """What the write path decides, a profile named by its members."""
    numbers = count()
    seen = survey(batch, {}, {}, rules)
    plan = decide(seen, {}, Component(), rules, lambda: f"p{next(numbers)}")
    answers = outcomes(batch, seen, plan, {})
    members: dict[str, list[str]] = defaultdict(list)
    for key, profile in plan.home.items():
        members[profile].append(key)
    name = {profile: " ".join(sorted(keys)) for profile, keys in members.items()}
    return {
        "identifiers": {
            key: {
                "seen": (s.first_seen, s.last_seen, sorted(s.sources)),
                "state": s.state,
                "partners": sorted(s.partners or ()),
                "profile": None if s.state == BLOCKED else name[plan.home[key]],
            }
            for key, s in seen.sightings.items()
        },
        "profiles": {
            name[p.id]: {
                "size": p.size,
                "refused": p.refused,
                "limited": list(p.limited),
                "created": (p.observation, p.link),
            }
            for p in plan.profiles.values()
        },
        "links": {
            c.id: {
                "ends": (c.a, c.b, c.source),
                "seen": (c.first_seen, c.last_seen, c.count),
                "refusal": (r.code, list(r.parties)) if (r := plan.refused.get(c.id)) else None,
            }
            for c in seen.claims.values()
        },
        "observations": {
            answer.observation_id: {
                "profile": answer.profile and (name[answer.profile.id], answer.profile.size, answer.profile.version),
                "refused": [[r.a, r.b, r.refusal.code, list(r.refusal.parties)] for r in answer.refused],
                "changes": [[name[change.id.removeprefix("created-")], change.kind] for change in answer.changes],
            }
            for answer in answers
        },
    }


def loaded(observations: Sequence[Observation], rules: Rules) -> dict[str, Things]:
    """What the first load writes, in the same words."""
    gathering = Gathering(rules)
    for o in observations:
        assert gathering.add(Batch(packed=[pack(o)], lines=[1])) == (0, [])
    with TemporaryDirectory() as folder:
        nodes, relationships = Load(gathering).write(Path(folder), 7, {})
        rows = {name: list(csv.DictReader(file.read_text().splitlines())) for name, (file,) in (*nodes, *relationships)}
    key_of = {row[":ID"]: row["key"] for row in (*rows["Identifier"], *rows["Identifier:Device"])}
    members: dict[str, list[str]] = defaultdict(list)
    for row in rows["MEMBER_OF"]:
        assert row["member"] == key_of[row[":START_ID"]]
        members[row[":END_ID"]].append(row["member"])
    name = {number: " ".join(sorted(keys)) for number, keys in members.items()}
    home = {key: name[number] for number, keys in members.items() for key in keys}
    named = {row["id"]: name[row[":ID"]] for row in rows["Profile"]}
    assert len(set(key_of.values())) == len(key_of)
    return {
        "identifiers": {
            row["key"]: {
                "seen": (int(row["first_seen:long"]), int(row["last_seen:long"]), from_text(row["sources"])),
                "state": row["state"],
                "partners": from_text(row["partners"]),
                "profile": home.get(row["key"]),
            }
            for row in (*rows["Identifier"], *rows["Identifier:Device"])
        },
        "profiles": {
            named[row["id"]]: {
                "size": int(row["size:long"]),
                "refused": int(row["refused:long"]),
                "limited": from_text(row["limited"]),
                "created": (row["created_by"], row["created_link"] or None),
            }
            for row in rows["Profile"]
        },
        "links": {
            row["id"]: {
                "ends": (key_of[row[":START_ID"]], key_of[row[":END_ID"]], row["source"]),
                "seen": (int(row["first_seen:long"]), int(row["last_seen:long"]), int(row["count:long"])),
                "refusal": (row["reason"], listed(row["parties:string[]"])) if row["reason"] else None,
            }
            for row in rows["LINK"]
        },
        "observations": {row["id"]: answered(row["result"], named) for row in rows["Observation"]},
    }


def listed(text: str) -> list[str]:
    return text.split(SEPARATOR) if text else []


def answered(result: str, named: dict[str, str]) -> dict[str, Any]:
    profile, refused, changes = orjson.loads(result)
    return {
        "profile": profile and (named[profile[0]], *profile[1:]),
        "refused": refused,
        "changes": [[named[id.removeprefix("created-")], kind] for id, kind in changes],
    }


@given(RULES, st.lists(SAID, min_size=1, max_size=3))
def test_it_decides_as_the_write_path_does(rules: Rules, said: list[Any]) -> None:
    observations = [o for n, some in enumerate(said) for o in observed(some, rules, f"{n}-")]
    assert loaded(observations, rules) == decided(observations, rules)


def test_an_id_counts_once() -> None:
    rules = Rules()
    one, other = observed([([("user_id", "1")], 1, "web"), ([("user_id", "2")], 1, "web")], rules)
    changed = (*pack(one)[:4], "other", *pack(one)[5:])
    gathering = Gathering(rules)
    known, reused = gathering.add(Batch(packed=[pack(one), pack(other), pack(one), changed], lines=[1, 2, 3, 4]))
    assert known == 1
    assert [(line, rejection.code, rejection.observation_id) for line, rejection in reused] == [
        (4, "ID_REUSED", one.id)
    ]
    assert len(gathering) == 2
