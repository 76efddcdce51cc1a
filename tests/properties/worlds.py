"""Small random worlds: rules, observations of few identifiers, and every kind of link, so that conflicts are common.

The strategies are made once, here at the top: making them is what drawing an example would spend its time on.
"""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from identity_graph.domain.evidence import (
    CannotLink,
    Evidence,
    Key,
    Link,
    LinkKind,
    Observation,
    gather,
    link_id,
    observation,
)
from identity_graph.domain.identifiers import identify
from identity_graph.domain.rules import NamespaceRule, Policy, Rules

JUNK = "null"
NAMESPACES = ("user", "card", "mail", "device")
VALUES = "abcd"


@dataclass(frozen=True)
class World:
    rules: Rules
    evidence: Evidence


def link(a: Key, b: Key, kind: LinkKind, at: int, weight: float = 0.0, conducts: bool = True) -> Link:
    a, b = sorted((a, b))
    return Link(link_id(a, b, kind, "hand"), a, b, "hand", at, at, 1, kind, weight, conducts)


def observe(id: str, named: list[tuple[str, str]], at: int, rules: Rules, source: str = "web") -> Observation:
    return observation(id, source, at, [identify(*name, rules) for name in named], digest=id, rules=rules)


def _rules(conflicts: bool) -> st.SearchStrategy[Rules]:
    """Rules for the four namespaces; the last has none of its own, so the defaults serve it."""
    one = st.sampled_from(
        [
            NamespaceRule(unique=unique, limit=limit, priority=priority, fan_out=fan_out)
            for unique, limit in ((True, None), (True, None), (False, None), (False, 1), (False, 2), (False, 3))
            for priority in (1, 2, 3)
            for fan_out in ((None, 0, 1, 1, 2) if conflicts else (None,))
        ]
    )
    return st.builds(
        lambda policy, cap, named, others, once: Rules(
            policy,
            cap,
            namespaces=dict(zip(NAMESPACES, named, strict=False)),
            defaults=others,
            deduplicated_sources=frozenset(once),
        ),
        st.sampled_from(Policy),
        st.sampled_from([2, 3, 4, 6, 1000]) if conflicts else st.just(1000),
        st.tuples(one, one, one),
        one,
        st.sampled_from([[], ["crm"], ["crm", "web"]]) if conflicts else st.just([]),
    )


RULES = _rules(conflicts=True)
RULES_WITHOUT_CONFLICTS = _rules(conflicts=False)


def named(values: str, junk: bool = False, most: int = 4) -> st.SearchStrategy[list[tuple[str, str]]]:
    """The identifiers of one observation: namespaces and values."""
    some = [*values, *values, JUNK] if junk else [*values]
    records = [("record", f"{source}/{value}") for source in ("crm", "web") for value in values[:2]]
    return st.lists(
        st.sampled_from([*((name, value) for name in NAMESPACES for value in some), *records]),
        min_size=1,
        max_size=most,
    )


#: Identifiers, time and source of an observation; at few distinct times, so that ties happen.
Said = tuple[list[tuple[str, str]], int, str]
_SOURCE = st.sampled_from(["web", "crm"])
_SAID = st.tuples(named(VALUES, junk=True), st.integers(0, 5), _SOURCE)
SAID = st.lists(_SAID, min_size=4, max_size=9)
SAID_AT_DISTINCT_TIMES = st.lists(
    st.tuples(named(VALUES, junk=True), st.integers(0, 99), _SOURCE),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row[1],
)
_PAIR = st.lists(
    st.sampled_from(
        [
            *(f"{name}:{value}" for name in NAMESPACES for value in VALUES),
            "record:crm/a",
            "record:crm/b",
            "record:web/a",
        ]
    ),
    min_size=2,
    max_size=2,
    unique=True,
)
_BY_HAND = st.lists(
    st.builds(
        lambda pair, kind, at, weight, conducts: link(*pair, kind, at, weight, conducts),
        _PAIR,
        st.sampled_from([LinkKind.ASSERTED, LinkKind.MATCHED, LinkKind.MATCHED]),
        st.integers(0, 9),
        st.sampled_from([5.0, 10.0, 20.0]),
        st.sampled_from([True, True, False]),
    ),
    min_size=2,
    max_size=7,
    unique_by=lambda made: made.id,
)
_KEY = st.sampled_from([f"{name}:{value}" for name in NAMESPACES for value in VALUES])
#: Two sides; what is on both is on the first.
_SIDES = st.tuples(st.frozensets(_KEY, min_size=1, max_size=3), st.frozensets(_KEY, min_size=1, max_size=3))
_KEPT_APART = st.lists(_SIDES, max_size=4)
_EVERY_FEW = st.sampled_from([0, 0, 2, 3, 5])


def observed(said: list[Said], rules: Rules, prefix: str = "") -> list[Observation]:
    return [observe(f"{prefix}{n}", names, at, rules, source) for n, (names, at, source) in enumerate(said)]


Sides = tuple[frozenset[Key], frozenset[Key]]


def kept_apart(sides: list[Sides]) -> list[CannotLink]:
    return [CannotLink(f"c{n}", one, other - one) for n, (one, other) in enumerate(sides) if other - one]


def _world(rules: Rules, said: list[Said], by_hand: list[Link], apart: list[Sides], retracted: int) -> World:
    gathered = gather(observed(said, rules), kept_apart(apart))
    links = [
        replace(made, conducts=not retracted or n % retracted > 0) for n, made in enumerate(gathered.links, 1)
    ] + by_hand
    identifiers = gathered.identifiers | {end for made in by_hand for end in (made.a, made.b)}
    return World(rules, replace(gathered, identifiers=identifiers, links=tuple(links)))


#: Observations, then asserted and matched links, proposals, retractions (every n-th link), sides that may not meet.
WORLDS = st.builds(_world, RULES, SAID, _BY_HAND, _KEPT_APART, _EVERY_FEW)
