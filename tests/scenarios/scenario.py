"""Scenarios as data: rules, what was said step by step, and what must then hold. They run at several levels.

Every YAML document of this folder is one scenario::

    name: system/what
    case: system/case              # the case of cases.toml that it is; without it, its name
    source: where that behaviour is documented
    rules: |                       # a rules file
      policy = "latest_owner"
    steps:                         # in order, a minute apart
    - observe: {identifiers: [user_id:ada, cookie_id:laptop], source: web, event: page, traits: {name: Ada}}
      expect: {together: [[user_id:ada, cookie_id:laptop]]}
    - keep_apart: [user_id:ada, user_id:bob]
    - retract: 1                   # the number of a step
    expect:                        # at the end; all parts may be left out
      groups: [[user_id:ada, cookie_id:laptop]]   # all profiles, every usable identifier in one of them
      together: [[…, …]]                          # in one profile
      apart: [[…, …]]                             # each in a profile of its own
      refused: [{link: […, …], code: …}]          # all refused links; `code` may be left out
      shared: […]                                 # all shared identifiers
      blocked: […]                                # all junk values
      strongest: …                                # the first identifier of the last observation, by priority
      unknown: […]                                # of these nothing is known
      events: {…: 2}                              # how many events the profile of an identifier has
      traits: {…: {name: Ada}}                    # all that the golden record of its profile shows
      ids: {…: A}                                 # its profile's id, by a name that means the same in every step
      leads: {A: B}                               # the id of that name leads to the profile of another one now

What a level has no notion of, as the pure partition has none of ids, it leaves out.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
#: What other systems document, by case: what of it no scenario can say and why, or nothing.
DOCUMENTED: dict[str, str] = tomllib.loads((FOLDER / "cases.toml").read_text())
MINUTE = 60_000_000


@dataclass(frozen=True)
class Expect:
    groups: list[list[str]] | None = None
    together: list[list[str]] = field(default_factory=list)
    apart: list[list[str]] = field(default_factory=list)
    refused: list[dict[str, Any]] | None = None
    shared: list[str] | None = None
    blocked: list[str] | None = None
    strongest: str | None = None
    unknown: list[str] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    traits: dict[str, dict[str, Any]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What a level shows after a step.

    ``refused`` has the code of each refused link by its two ends, ``events`` how many each identifier has itself,
    ``traits`` the golden record by any member, ``home`` the id of the profile that each identifier is in, and
    ``survivors`` the id that each merged id leads to. Where ``home`` is None ids are not looked at.
    """

    profiles: set[frozenset[str]]
    refused: dict[frozenset[str], str]
    shared: set[str]
    blocked: set[str]
    strongest: str | None
    events: Mapping[str, int]
    traits: Mapping[str, Mapping[str, Any]]
    home: Mapping[str, str] | None = None
    survivors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One thing said, at microseconds: an observation (``identifiers``, as submitted, with perhaps the type of an
    event and traits), a pair to ``keep_apart``, or the id of a step to ``retract``.
    """

    id: str
    at: int
    expect: Expect
    identifiers: tuple[tuple[str, str], ...] = ()
    source: str = "events"
    event: str | None = None
    traits: dict[str, Any] | None = None
    keep_apart: tuple[str, str] | None = None
    retract: str | None = None

    @property
    def by_hand(self) -> bool:
        """Whether a person did it."""
        return bool(self.keep_apart or self.retract)


@dataclass(frozen=True)
class Scenario:
    name: str
    case: str
    source: str
    rules: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return self.name


def load() -> list[Scenario]:
    """Every scenario of the folder."""
    return [s for path in sorted(FOLDER.glob("*.yaml")) for s in parse(yaml.safe_load_all(path.read_text()))]


def parse(documents: Any) -> Iterator[Scenario]:
    """Scenarios from plain data. What is expected at the end belongs to the last step."""
    for document in documents:
        steps = [_step(document["name"], n, said) for n, said in enumerate(document["steps"], 1)]
        last = document["steps"][-1].get("expect", {})
        steps[-1] = _step(document["name"], len(steps), document["steps"][-1] | {"expect": last | document["expect"]})
        name = document["name"]
        yield Scenario(name, document.get("case", name), document["source"], document.get("rules", ""), tuple(steps))


def _step(name: str, number: int, said: dict[str, Any]) -> Step:
    id, at, expect = f"{name}/{number}", number * MINUTE, Expect(**said.get("expect", {}))
    if "keep_apart" in said:
        one, other = said["keep_apart"]
        return Step(id, at, expect, keep_apart=(one, other))
    if "retract" in said:
        return Step(id, at, expect, retract=f"{name}/{said['retract']}")
    observed = said["observe"]
    identifiers = tuple(_split(key) for key in observed["identifiers"])
    source = observed.get("source", "events")
    return Step(id, at, expect, identifiers, source, observed.get("event"), observed.get("traits"))


def _split(key: str) -> tuple[str, str]:
    namespace, _, value = key.partition(":")
    return namespace, value


def wrong(expect: Expect, seen: Seen, names: dict[str, str] | None = None) -> list[str]:
    """What does not hold, as sentences. ``names`` holds the ids that names stand for, of the steps before too."""
    found: list[str] = []
    profiles, refused = seen.profiles, seen.refused
    if expect.groups is not None and {frozenset(group) for group in expect.groups} != profiles:
        found.append(f"groups are {sorted(map(sorted, profiles))}")
    for keys in expect.together:
        if not any(set(keys) <= profile for profile in profiles):
            found.append(f"{keys} are not together")
    for keys in expect.apart:
        found += [f"{pair} are together" for pair in combinations(keys, 2) if any(set(pair) <= p for p in profiles)]
    if expect.refused is not None:
        if {frozenset(one["link"]) for one in expect.refused} != refused.keys():
            found.append(f"refused are {sorted(map(sorted, refused))}")
        for one in expect.refused:
            code = refused.get(frozenset(one["link"]))
            if one.get("code", code) != code:
                found.append(f"{one['link']} is refused as {code}")
    for name, wanted, real in (("shared", expect.shared, seen.shared), ("blocked", expect.blocked, seen.blocked)):
        if wanted is not None and set(wanted) != real:
            found.append(f"{name} are {sorted(real)}")
    if expect.strongest is not None and expect.strongest != seen.strongest:
        found.append(f"the strongest is {seen.strongest}")
    found += [f"{key} is known" for key in expect.unknown if any(key in profile for profile in profiles)]
    for key, count in expect.events.items():
        profile = next((p for p in profiles if key in p), frozenset[str]())
        if count != (real := sum(seen.events.get(member, 0) for member in profile)):
            found.append(f"{key} has {real} events")
    for key, traits in expect.traits.items():
        if traits != (shown := seen.traits.get(key)):
            found.append(f"{key} shows {shown}")
    if seen.home is not None:
        found += _wrong_ids(expect, seen.home, seen.survivors, {} if names is None else names)
    return found


def _wrong_ids(
    expect: Expect, home: Mapping[str, str], survivors: Mapping[str, str], names: dict[str, str]
) -> Iterator[str]:
    for key, name in expect.ids.items():
        id = home.get(key, "none")
        if names.setdefault(name, id) != id or [*names.values()].count(id) > 1:
            yield f"the profile of {key} is not {name} but {[n for n, named in names.items() if named == id]}"
    for old, new in expect.leads.items():
        if survivors.get(names[old]) != names[new]:
            yield f"{old} does not lead to {new}"
