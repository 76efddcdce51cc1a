"""Scenarios as data: rules, what was said step by step, and what must then hold. They run at several levels.

Every YAML document of this folder is one scenario::

    name: system/what
    source: where that behaviour is documented
    rules: |                       # a rules file
      policy = "latest_owner"
    steps:                         # in order, a minute apart
    - observe: {identifiers: [user_id:ada, cookie_id:laptop], source: web}
      expect: {together: [[user_id:ada, cookie_id:laptop]]}
    - keep_apart: [user_id:ada, user_id:bob]
    expect:                        # at the end; all parts may be left out
      groups: [[user_id:ada, cookie_id:laptop]]   # all profiles, every usable identifier in one of them
      together: [[…, …]]                          # in one profile
      apart: [[…, …]]                             # each in a profile of its own
      refused: [{link: […, …], code: …}]          # all refused links; `code` may be left out
      shared: […]                                 # all shared identifiers
      blocked: […]                                # all junk values
      strongest: …                                # the first identifier of the last observation, by priority
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
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


@dataclass(frozen=True)
class Step:
    """One thing said: an observation (``identifiers``, as submitted) or a pair to ``keep_apart``; at microseconds."""

    id: str
    at: int
    expect: Expect
    identifiers: tuple[tuple[str, str], ...] = ()
    source: str = "events"
    keep_apart: tuple[str, str] | None = None


@dataclass(frozen=True)
class Scenario:
    name: str
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
        yield Scenario(document["name"], document["source"], document.get("rules", ""), tuple(steps))


def _step(name: str, number: int, said: dict[str, Any]) -> Step:
    id, at, expect = f"{name}/{number}", number * MINUTE, Expect(**said.get("expect", {}))
    if "keep_apart" in said:
        one, other = said["keep_apart"]
        return Step(id, at, expect, keep_apart=(one, other))
    observed = said["observe"]
    identifiers = tuple(_split(key) for key in observed["identifiers"])
    return Step(id, at, expect, identifiers, observed.get("source", "events"))


def _split(key: str) -> tuple[str, str]:
    namespace, _, value = key.partition(":")
    return namespace, value


def wrong(
    expect: Expect,
    profiles: set[frozenset[str]],
    refused: dict[frozenset[str], str],
    shared: set[str],
    blocked: set[str],
    strongest: str | None,
) -> list[str]:
    """What does not hold, as sentences. ``refused`` has the code of each refused link by its two ends."""
    found: list[str] = []
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
    for name, wanted, real in (("shared", expect.shared, shared), ("blocked", expect.blocked, blocked)):
        if wanted is not None and set(wanted) != real:
            found.append(f"{name} are {sorted(real)}")
    if expect.strongest is not None and expect.strongest != strongest:
        found.append(f"the strongest is {strongest}")
    return found
