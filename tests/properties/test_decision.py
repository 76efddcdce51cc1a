"""Decisions applied one after another to a graph in memory are the partition of all that was said by then."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from properties.worlds import RULES, SAID, Said, observed

from identity_graph.domain.decision import (
    ACTIVE,
    BLOCKED,
    NOTHING_STATED,
    REFUSED,
    Claim,
    Component,
    KnownIdentifier,
    KnownProfile,
    Member,
    Plan,
    Stated,
    StoredLink,
    Survey,
    decide,
    outcomes,
    survey,
)
from identity_graph.domain.evidence import CannotLink, Evidence, Key, Link, LinkKind, Observation, Refusal, gather
from identity_graph.domain.matches import (
    PROPOSED,
    RETRACTED,
    Anchored,
    Match,
    MatchEvidence,
    StoredMatch,
    differences,
    match,
)
from identity_graph.domain.partition import DisjointSets, partition
from identity_graph.domain.rules import Rules

AUTO = 8.0


@dataclass
class Graph:
    """Profiles, identifiers and links as the database would hold them; a link is what was said, and its state."""

    rules: Rules
    identifiers: dict[Key, KnownIdentifier] = field(default_factory=dict[Key, KnownIdentifier])
    first_seen: dict[Key, int] = field(default_factory=dict[Key, int])
    profiles: dict[str, KnownProfile] = field(default_factory=dict[str, KnownProfile])
    links: dict[str, tuple[Link, str, Refusal | None]] = field(
        default_factory=dict[str, tuple[Link, str, Refusal | None]]
    )
    apart: dict[str, CannotLink] = field(default_factory=dict[str, CannotLink])
    observations: list[Observation] = field(default_factory=list[Observation])
    matches: dict[str, Match] = field(default_factory=dict[str, Match])
    changes: list[str] = field(default_factory=list[str])
    ids: Iterable[int] = field(default_factory=lambda: count(1))

    def observe(self, batch: Sequence[Observation]) -> None:
        self._take(batch, NOTHING_STATED)
        self.observations += batch

    def assert_matches(self, said: Iterable[Match], of: set[str]) -> None:
        """The model's word on some records: what it does not say again it takes back."""
        wanted = {m.id: m for m in said}
        stored = {
            m.id: StoredMatch(m.id, link.a, link.b, link.source, link.weight, state)
            for m in self.matches.values()
            if {m.a.record, m.b.record} & of
            for link, state, _ in [self.links[m.id]]
        }
        stated, changed = differences(wanted, stored, 9)
        self._take((), stated)
        self.matches |= changed

    def keep_apart(self, one: frozenset[Key], other: frozenset[Key]) -> None:
        word = CannotLink(f"c{len(self.apart)}", one, other)
        self._take((), Stated(apart=(word,)))
        self.apart[word.id] = word

    def lift(self, id: str) -> None:
        word = self.apart[id]
        self._take((), Stated(lifted=(word,)))
        self.apart[id] = replace(word, one=frozenset(), other=frozenset())

    def _take(self, batch: Sequence[Observation], stated: Stated) -> None:
        seen = survey(batch, self.identifiers, self.profiles, self.rules, stated)
        component = self._component(seen.read)
        plan = decide(seen, self.profiles, component, self.rules, lambda: f"p{next(iter(self.ids)):04}")
        outcomes(batch, seen, plan, {})
        self._write(seen, plan, stated)

    def _component(self, profiles: Iterable[str]) -> Component:
        around = DisjointSets(self.profiles)
        for link, _, refusal in self.links.values():
            homes = [self.identifiers[end].profile for end in (link.a, link.b)]
            if refusal and homes[0] and homes[1] and refusal.code not in ("SHARED_IDENTIFIER", "BLOCKED_VALUE"):
                around.join(homes[0], homes[1])
        roots = {around.find(id) for id in profiles}
        known = {id: p for id, p in self.profiles.items() if around.find(id) in roots}
        members = [
            Member(key, i.profile, self.first_seen[key], i.state == "SHARED")
            for key, i in self.identifiers.items()
            if i.profile in known
        ]
        keys = {m.key for m in members if not m.shared}
        links = [
            StoredLink(link, refusal)
            for link, state, refusal in self.links.values()
            if state in (ACTIVE, REFUSED) and link.a in keys and link.b in keys
        ]
        inside = {m.key for m in members}
        apart = [CannotLink(c.id, c.one & inside, c.other & inside) for c in self.apart.values() if c.keys & inside]
        return Component(known, members, links, apart)

    def _write(self, seen: Survey, plan: Plan, stated: Stated) -> None:
        for id, p in plan.profiles.items():
            created = self.profiles[id].created_at if id in self.profiles else len(self.changes) + len(self.profiles)
            self.profiles[id] = KnownProfile(id, created, p.size, p.version, p.refused, p.guarded, p.limited)
        for key, s in seen.sightings.items():
            old = self.identifiers.get(key)
            partners = tuple(s.partners) if s.partners else old.partners if old else ()
            profile = old.profile if old else None if s.state == BLOCKED else plan.home[key]
            self.identifiers[key] = KnownIdentifier(s.state, partners, profile)
            self.first_seen[key] = min(s.first_seen, self.first_seen.get(key, s.first_seen))
        for id, refusal in plan.judged:
            self._judge(id, self.links[id][0], refusal)
        for c in seen.claims.values():
            self._say(c, plan.refused.get(c.id))
        for c in stated.withdrawn:
            self.links[c.id] = self.links[c.id][0], RETRACTED, None
        for loser, survivor in plan.absorb:
            plan.move += [(key, survivor) for key, i in self.identifiers.items() if i.profile == loser]
        for key, profile in plan.move:
            i = self.identifiers[key]
            self.identifiers[key] = KnownIdentifier(i.state, i.partners, profile)
        for loser, _, _ in plan.entomb:
            del self.profiles[loser]
        self.changes += [c.kind for c in plan.changes]

    def _say(self, c: Claim, refusal: Refusal | None) -> None:
        if c.kind is LinkKind.MATCHED and not c.conducts:
            self.links[c.id] = c.link, PROPOSED, None
            return
        old = self.links.get(c.id)
        if old and c.kind is LinkKind.OBSERVED:
            seen = min(old[0].first_seen, c.first_seen), max(old[0].last_seen, c.last_seen), old[0].count + c.count
            link = Link(c.id, c.a, c.b, c.source, *seen)
            self._judge(c.id, link, old[2])
        else:
            self._judge(c.id, c.link, refusal)

    def _judge(self, id: str, link: Link, refusal: Refusal | None) -> None:
        self.links[id] = link, REFUSED if refusal else ACTIVE, refusal

    def problems(self) -> list[str]:
        """Where it differs from the partition of the evidence, computed from scratch."""
        evidence = gather(self.observations, self.apart.values())
        said = tuple(self.links[id][0] for id in self.matches if self.links[id][1] != RETRACTED)
        evidence = Evidence(evidence.identifiers, (*evidence.links, *said), evidence.cannot_links)
        wanted = partition(evidence, self.rules)
        inside: dict[str, set[Key]] = {id: set() for id in self.profiles}
        for key, i in self.identifiers.items():
            if i.profile:
                inside[i.profile].add(key)
        found = {frozenset(keys) for keys in inside.values()}
        refused = {id: refusal for id, (_, _, refusal) in self.links.items() if refusal}
        differ = [f"profiles {found ^ wanted.profiles}"] if found != wanted.profiles else []
        if refused.keys() != wanted.refused.keys():
            differ.append(f"refused {refused.keys() ^ wanted.refused.keys()}")
        differ += [f"size of {id} is {p.size}" for id, p in self.profiles.items() if p.size != len(inside[id])]
        counts = dict.fromkeys(self.profiles, 0)
        for link, _, refusal in self.links.values():
            if refusal and refusal.code not in ("SHARED_IDENTIFIER", "BLOCKED_VALUE"):
                for end in (link.a, link.b):
                    counts[self.identifiers[end].profile or ""] += 1
        return differ + [
            f"{id} counts {p.refused} refused links of {counts[id]}"
            for id, p in self.profiles.items()
            if p.refused != counts[id]
        ]


#: Where a record stands among the keys that are known, and how it compares with another: None says nothing of them.
_PAIR = st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from([None, 5.0, 7.9, 8.0, 12.0, 20.0]))
_WORD = st.tuples(st.just("match"), st.lists(_PAIR, min_size=1, max_size=4))
_SIDE = st.frozensets(st.integers(0, 30), min_size=1, max_size=3)
_APART = st.tuples(st.just("apart"), st.tuples(_SIDE, _SIDE))
_LIFTED = st.tuples(st.just("lifted"), st.integers(0, 9))
_SEEN = st.tuples(st.just("seen"), SAID.map(lambda said: said[:3]))
STEPS = st.lists(st.one_of(_WORD, _WORD, _SEEN, _APART, _APART, _LIFTED), min_size=1, max_size=5)


def evidence(weight: float) -> MatchEvidence:
    return MatchEvidence("m1", weight, 0.5, ())


def said_by_the_model(graph: Graph, pairs: list[tuple[int, int, float | None]]) -> tuple[list[Match], set[str]]:
    """Records are anchored by the known identifiers that are no junk, one record each."""
    keys = sorted(key for key, i in graph.identifiers.items() if i.state != BLOCKED)
    found: dict[str, Match] = {}
    about: set[str] = set()
    for one, other, weight in pairs if keys else ():
        a, b = (keys[n % len(keys)] for n in (one, other))
        about |= {f"r/{a}", f"r/{b}"} if weight is None else set()
        made = match(Anchored(f"r/{a}", a), Anchored(f"r/{b}", b), evidence(weight or 0.0), AUTO)
        if made and weight is not None:
            found[made.id] = made
    return list(found.values()), about


@given(RULES, SAID, STEPS)
def test_every_step_leaves_the_partition_of_what_was_said(rules: Rules, said: list[Said], steps: list) -> None:  # type: ignore[type-arg]
    graph = Graph(rules)
    graph.observe(observed(said, rules))
    assert graph.problems() == []
    for number, (kind, what) in enumerate(steps):
        if kind == "seen":
            graph.observe(observed(what, rules, f"{number}/"))
        elif kind == "match":
            graph.assert_matches(*said_by_the_model(graph, what))
        elif kind == "lifted":
            if graph.apart:
                graph.lift(sorted(graph.apart)[what % len(graph.apart)])
        else:
            keys = sorted(key for key, i in graph.identifiers.items() if i.state != BLOCKED)
            one, other = (frozenset(keys[n % len(keys)] for n in side) if keys else frozenset[Key]() for side in what)
            if one and other - one:
                graph.keep_apart(one, other - one)
        assert graph.problems() == [], (kind, what)


@given(RULES, SAID, st.lists(_PAIR, min_size=1, max_size=5))
def test_what_is_withdrawn_leaves_no_trace(rules: Rules, said: list[Said], pairs: list) -> None:  # type: ignore[type-arg]
    """All matched links stated and taken back: the profiles and refusals are those of before."""
    graph = Graph(rules)
    graph.observe(observed(said, rules))
    before = {key: i.profile for key, i in graph.identifiers.items()}
    together = {frozenset(k for k, p in before.items() if p == id) for id in graph.profiles}
    refused = {id for id, (_, _, refusal) in graph.links.items() if refusal}
    matches, _ = said_by_the_model(graph, [(a, b, w or 20.0) for a, b, w in pairs])
    graph.assert_matches(matches, set())
    graph.assert_matches([], {m.a.record for m in matches} | {m.b.record for m in matches})
    after = {frozenset(k for k, i in graph.identifiers.items() if i.profile == id) for id in graph.profiles}
    assert after == together
    assert {id for id, (_, _, refusal) in graph.links.items() if refusal} == refused


@given(RULES, SAID, st.lists(_PAIR, min_size=2, max_size=5))
def test_the_order_of_the_models_words_does_not_matter(rules: Rules, said: list[Said], pairs: list) -> None:  # type: ignore[type-arg]
    found: list[set[frozenset[Key]]] = []
    for order in (1, -1):
        graph = Graph(rules)
        graph.observe(observed(said, rules))
        matches, _ = said_by_the_model(graph, [(a, b, w or 20.0) for a, b, w in pairs])
        for m in sorted(matches, key=lambda m: m.id)[::order]:
            graph.assert_matches([m], set())
        found.append({frozenset(k for k, i in graph.identifiers.items() if i.profile == id) for id in graph.profiles})
    assert found[0] == found[1]


@given(RULES, SAID, st.lists(_PAIR, min_size=1, max_size=5))
def test_proposals_join_nobody(rules: Rules, said: list[Said], pairs: list) -> None:  # type: ignore[type-arg]
    graph = Graph(rules)
    graph.observe(observed(said, rules))
    before = {key: i.profile for key, i in graph.identifiers.items()}
    matches, _ = said_by_the_model(graph, [(a, b, AUTO - 0.1) for a, b, _ in pairs])
    graph.assert_matches(matches, set())
    assert {key: i.profile for key, i in graph.identifiers.items()} == before
    assert {graph.links[m.id][1] for m in matches} <= {PROPOSED}


def test_the_weaker_of_two_matches_gives_way_to_a_unique_namespace() -> None:
    """Three records, two accounts that may not meet: the strongest link wins, whichever is said first."""
    rules = Rules()
    said = [([("user_id", "one")], 1, "web"), ([("user_id", "two")], 1, "web"), ([("crm_id", "x")], 1, "crm")]
    one, two, third = (Anchored(f"r/{key}", key) for key in ("user_id:one", "user_id:two", "crm_id:x"))
    strong, weak = match(one, third, evidence(20.0), AUTO), match(two, third, evidence(10.0), AUTO)
    assert strong
    assert weak
    for order in ([strong, weak], [weak, strong]):
        graph = Graph(rules)
        graph.observe(observed(said, rules))
        for m in order:
            graph.assert_matches([m], set())
        assert graph.problems() == []
        assert (graph.links[strong.id][1], graph.links[weak.id][1]) == (ACTIVE, REFUSED)
