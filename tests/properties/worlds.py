"""Small random worlds: rules, observations of few identifiers, and every kind of link, so that conflicts are common."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from identity_graph.domain.evidence import Evidence, Key, Link, LinkKind, Observation, gather, link_id, observation
from identity_graph.domain.identifiers import Identifier, identify
from identity_graph.domain.rules import NamespaceRule, Policy, Rules

JUNK = "null"
NAMESPACES = ("user", "card", "mail", "device")
VALUES = "abcd"


@dataclass(frozen=True)
class World:
    rules: Rules
    observations: tuple[Observation, ...]
    evidence: Evidence


@st.composite
def namespace_rules(draw: st.DrawFn, conflicts: bool = True) -> NamespaceRule:
    unique = draw(st.booleans())
    return NamespaceRule(
        unique=unique,
        limit=None if unique else draw(st.sampled_from([None, 1, 2, 3])),
        priority=draw(st.integers(1, 3)),
        fan_out=draw(st.sampled_from([None, None, 1, 2])) if conflicts else None,
    )


@st.composite
def rules(draw: st.DrawFn, conflicts: bool = True) -> Rules:
    """Rules for the four namespaces; the last has none of its own, so the defaults serve it."""
    return Rules(
        policy=draw(st.sampled_from(Policy)),
        size_cap=draw(st.sampled_from([2, 3, 4, 6, 1000])) if conflicts else 1000,
        namespaces={name: draw(namespace_rules(conflicts)) for name in NAMESPACES[:-1]},
        defaults=draw(namespace_rules(conflicts)),
    )


@st.composite
def observations(
    draw: st.DrawFn,
    rules: Rules,
    values: str = VALUES,
    least: int = 0,
    most: int = 8,
    junk: bool = True,
    distinct_times: bool = False,
) -> tuple[Observation, ...]:
    """Observations of one to four identifiers at few distinct times, so that ties happen."""
    value = st.sampled_from([*values, *values, JUNK] if junk else list(values))
    identifiers = st.lists(st.tuples(st.sampled_from(NAMESPACES), value), min_size=1, max_size=4)
    times = st.integers(0, 10_000) if distinct_times else st.integers(0, 5)
    drawn = draw(
        st.lists(
            st.tuples(identifiers, times, st.sampled_from(["web", "crm"])),
            min_size=least,
            max_size=most,
            unique_by=(lambda row: row[1]) if distinct_times else None,
        )
    )
    return tuple(observe(f"{values}-{n}", named, at, rules, source) for n, (named, at, source) in enumerate(drawn))


def observe(id: str, named: list[tuple[str, str]], at: int, rules: Rules, source: str = "web") -> Observation:
    identifiers: list[Identifier] = [identify(namespace, value, rules) for namespace, value in named]
    return observation(id, source, at, identifiers, digest=id, rules=rules)


def link(a: Key, b: Key, kind: LinkKind, at: int, weight: float = 0.0, conducts: bool = True) -> Link:
    a, b = sorted((a, b))
    return Link(link_id(a, b, kind, "hand"), a, b, "hand", at, at, 1, kind, weight, conducts)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Observations, then asserted and matched links, proposals, retractions and pairs that may not meet."""
    made = draw(rules())
    observed = draw(observations(made))
    keys = [f"{namespace}:{value}" for namespace in NAMESPACES for value in VALUES]
    pairs = st.lists(st.sampled_from(keys), min_size=2, max_size=2, unique=True)
    by_hand = draw(
        st.lists(
            st.builds(
                lambda pair, kind, at, weight, conducts: link(*pair, kind, at, weight, conducts),
                pairs,
                st.sampled_from([LinkKind.ASSERTED, LinkKind.MATCHED]),
                st.integers(0, 5),
                st.sampled_from([5.0, 10.0, 20.0]),
                st.sampled_from([True, True, False]),
            ),
            max_size=5,
            unique_by=lambda made: made.id,
        )
    )
    gathered = gather(observed, map(frozenset, draw(st.lists(pairs, max_size=5))))
    retracted = draw(st.sets(st.sampled_from([made.id for made in gathered.links]))) if gathered.links else set()
    links = [replace(made, conducts=made.id not in retracted) for made in gathered.links] + by_hand
    identifiers = gathered.identifiers | {end for made in by_hand for end in (made.a, made.b)}
    return World(made, observed, replace(gathered, identifiers=identifiers, links=tuple(links)))
