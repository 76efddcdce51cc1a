"""What follows a change of a profile, in the transaction that makes it: golden values, then memberships in segments.

A profile is evaluated again only for the segments whose rules are about something that changed of it. What changed is
told in names of facts: the properties of a golden record, ``identifiers``, ``seen``, or everything.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, Self

import orjson
import uuid_utils

from identity_graph.domain.decision import Plan
from identity_graph.domain.events import EVERY_TYPE, Tally, aggregates
from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import Rules
from identity_graph.domain.segments import EVENTS, IDENTIFIERS, SEEN, Definitions, Facts, Recent, Rule, parse_rule
from identity_graph.domain.traits import DATE, TRAIT
from identity_graph.services.catalogue import SEGMENTS, TRAITS, Catalogue, note_traits, remembered
from identity_graph.services.catalogue import revisions as read_revisions
from identity_graph.services.golden import refresh_golden
from identity_graph.store.graph import Transaction

EVERYTHING = "*"
#: Sets of segments of which it is remembered what they ask.
MOST_ASKED = 256


@dataclass(frozen=True)
class Active:
    """The segments that there are. ``revision`` names this state of all definitions."""

    revision: str
    definitions: Definitions

    @cached_property
    def about(self) -> Mapping[str, frozenset[str]]:
        """The facts that each segment is about."""
        return {name: self.definitions.depends(rule) for name, rule in self.definitions.rules.items()}

    @cached_property
    def timed(self) -> frozenset[str]:
        """The segments that time alone may change."""
        return frozenset(name for name, rule in self.definitions.rules.items() if self.definitions.timed(rule))

    @cached_property
    def steady(self) -> Mapping[str, tuple[Rule, ...]]:
        """Of each segment that time alone may change, what must hold besides and does not change so."""
        return {name: self.definitions.steady(self.definitions.rules[name]) for name in self.timed}

    @cached_property
    def asked(self) -> "Callable[[frozenset[str]], _Asked]":
        """What the rules of some segments ask of a profile."""
        return lru_cache(MOST_ASKED)(partial(_Asked.by, self.definitions))

    @cached_property
    def by_fact(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for name, facts in self.about.items():
            for fact in (*facts, EVERYTHING):
                found[fact].add(name)
        return {fact: frozenset(names) for fact, names in found.items()}

    def affected(self, facts: Iterable[str]) -> frozenset[str]:
        """The segments that may change where these facts changed."""
        return frozenset().union(*(self.by_fact.get(fact, ()) for fact in facts))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What rules ask of a profile: the properties that it shows, whether its identifiers, the types of events whose
    totals (None: all), and for how many microseconds back which types' events one by one, at most so many of each.
    """

    shown: list[str]
    identifiers: bool
    totals: Sequence[str | None]
    recent: dict[str, int]
    most: int

    @classmethod
    def by(cls, definitions: Definitions, names: Iterable[str]) -> Self:
        rules = [definitions.rules[name] for name in names if name in definitions.rules]
        about = frozenset[str]().union(*(definitions.depends(rule) for rule in rules))
        counted = {leaf for rule in rules for leaf in definitions.counted(rule)}
        tallied = {type for rule in rules for type in definitions.tallied(rule)}
        recent: dict[str, int] = {}
        for leaf in counted:
            recent[leaf.type] = max(recent.get(leaf.type, 0), leaf.within or 0)
        return cls(
            sorted(name for name in about if name.startswith((TRAIT, DATE))),
            not about.isdisjoint((SEEN, IDENTIFIERS)),
            [None] if EVERY_TYPE in tallied else sorted(tallied),
            dict(sorted(recent.items())),
            max((leaf.enough for leaf in counted), default=0),
        )


#: The states of the definitions that were met last, by revision and rules: a revision is never used again.
_known: dict[tuple[str, str], Active] = {}


def active_segments(tx: Transaction, rules: Rules, revision: str | None = None) -> Active | None:
    """The segments as this transaction sees them, whose ``revision`` it may know; None where none was ever defined."""
    revision = revision or read_revisions(tx).get(SEGMENTS)
    if revision is None:
        return None

    def read() -> Active:
        found = {row[0]: parse_rule(orjson.loads(row[3]), rules.aggregates) for row in tx.one("segment/list") if row[3]}
        return Active(revision, Definitions(found, rules))

    return remembered(_known, (revision, rules.version), read)


def turned_by(plan: Plan) -> set[str]:
    """The profiles that end or come back."""
    return {loser for loser, _, _ in plan.entomb} | set(plan.revive) | set(plan.emptied)


def moved_by(plan: Plan) -> set[str]:
    """The profiles that give or take members, or lose some."""
    moved = {id for pair in plan.absorb for id in pair} | turned_by(plan)
    if plan.move or plan.leave:
        moved |= {id for id, profile in plan.profiles.items() if profile.changed} | {id for _, id in plan.move}
    return moved


def keep_current(
    tx: Transaction,
    plan: Plan,
    element: Mapping[str, str],
    rules: Rules,
    at: int,
    *,
    revisions: Mapping[str, str],
    golden: Iterable[Sequence[Any]],
    records: Iterable[Observation] = (),
    happened: Iterable[tuple[str, str]] = (),
    shared: AbstractSet[str] = frozenset(),
) -> Catalogue:
    """Let profiles show what a plan, already written, makes of them; the catalogue of traits with those of ``records``.

    ``element`` names identifiers and profiles as the database does. ``revisions`` are of the catalogue and of segments;
    ``golden`` is what :func:`refresh_golden` needs of the profiles that moved or whose records did. ``records`` are
    those that were written, ``happened`` the types of events with the profiles whose they are, ``shared`` the profiles
    of shared identifiers that were seen. The transaction holds all but the latter. ``at`` is in microseconds since
    1970.
    """
    catalogue = note_traits(tx, revisions.get(TRAITS), ((o.source, o.traits) for o in records), rules)
    current = active_segments(tx, rules, revisions[SEGMENTS]) if SEGMENTS in revisions else None
    changed = refresh_golden(tx, golden, rules, catalogue)
    if current is None:
        return catalogue
    # A shared identifier joins nobody, so its profile was not locked for the sake of its links.
    if shared:
        tx.one("profile/lock", elements=sorted(shared))
    turned, moved = turned_by(plan), moved_by(plan)
    for one in shared:
        changed.setdefault(one, set()).add(SEEN)
    for id in {*plan.home.values(), *plan.profiles, *moved}:
        known = plan.profiles.get(id)
        facts = changed.setdefault(element[id], set())
        facts.add(SEEN)
        if id in moved:
            facts.add(EVENTS)
        if id in moved or (known and known.changed):
            facts.add(IDENTIFIERS)
        if known and known.new:
            facts.add(EVERYTHING)
    for home, type in happened:
        changed.setdefault(home, set()).update((f"{EVENTS}:{type}", f"{EVENTS}:{EVERY_TYPE}"))
    for id in turned:
        changed[element[id]].add(EVERYTHING)
    follow(tx, changed, current, at)
    return catalogue


def show_again(
    tx: Transaction,
    elements: Sequence[str],
    rules: Rules,
    at: int,
    said: Iterable[tuple[str, Mapping[str, Any]]] | None = None,
) -> int:
    """Let profiles, which the transaction holds, show what is said of them, and enter and leave segments by that; how
    many show something else.

    ``said`` is what is new of it: sources with the traits they give; None: all may be. ``at`` is in microseconds since
    1970.
    """
    found, golden = read_revisions(tx), tx.one("golden/read", elements=elements)
    if said is None:
        said = ((source, orjson.loads(text)) for _, _, records in golden for source, _, text, *_ in records)
    catalogue = note_traits(tx, found.get(TRAITS), said, rules)
    changed = refresh_golden(tx, golden, rules, catalogue)
    current = active_segments(tx, rules, found[SEGMENTS]) if SEGMENTS in found else None
    if current:
        follow(tx, changed, current, at)
    return len(changed)


def follow(tx: Transaction, changed: Mapping[str, Iterable[str]], current: Active, at: int) -> None:
    """Let profiles enter and leave the segments that what changed of them can affect. The transaction holds them."""
    affected = {element: names for element, facts in changed.items() if (names := current.affected(facts))}
    if affected:
        evaluate(tx, affected, current, at)


def evaluate(tx: Transaction, affected: Mapping[str, AbstractSet[str]], current: Active, at: int) -> None:
    """Let profiles enter or leave these segments, by element; and note when time alone may next change that.

    A moment noted earlier stays until it has come, though it may have become needless: most profiles are seen again
    long before, and each would else be written every time. One that has come stays as well until all segments that
    time alone may change are looked at: it may be of another than these.
    """
    names = frozenset().union(*affected.values())
    entering: list[list[str]] = []
    leaving: list[list[str]] = []
    due: list[list[str | int | None]] = []
    rules = current.definitions
    for element, id, is_active, facts, inside, noted in read_facts(tx, affected, names, current, at):
        known = affected[element] & rules.rules.keys() if is_active else frozenset[str]()
        wanted = {name for name in known if rules.holds(rules.rules[name], facts, at)}
        is_in = set(inside) & (affected[element] if is_active else set(inside))
        entering += [[element, id, name] for name in wanted - is_in]
        leaving += [[element, id, name] for name in is_in - wanted]
        timed = (
            name for name in known & current.timed if all(rules.holds(one, facts, at) for one in current.steady[name])
        )
        turns = [turn for name in timed if (turn := rules.flips(rules.rules[name], facts, at)) is not None]
        has_come = noted is not None and noted <= at and current.timed <= affected[element]
        next_turn = min(turns, default=None)
        if has_come or (next_turn is not None and (noted is None or next_turn < noted)):
            due.append([element, next_turn])
    # Always in the order of segments: a small one is held by who enters it.
    for statement, rows in (("segment/leave", leaving), ("segment/enter", entering)):
        if rows:
            placed = [
                [*row, f"{row[2]}\t{uuid_utils.uuid7()}"] for row in sorted(rows, key=lambda row: (row[2], row[1]))
            ]
            tx.do(statement, rows=placed, at=at)
    if due:
        tx.do("segment/postpone", rows=due)


Row = tuple[str, str, bool, Facts, list[str], int | None]
"""Element, id, whether the profile is somebody's now, its facts, the segments it is in, and the moment noted for it."""


def read_facts(
    tx: Transaction, elements: Iterable[str], names: Iterable[str], current: Active, at: int, most: int = 0
) -> list[Row]:
    """What the rules of these segments are about, of profiles, as far as it counts at a moment or later. ``most``:
    so many events of an identifier and type are read, though fewer may be enough to know what holds."""
    asked = current.asked(frozenset(names))
    found = tx.one(
        "segment/facts",
        elements=sorted(elements),
        names=asked.shown,
        identifiers=asked.identifiers,
        types=asked.totals,
        recent=[[type, at - within] for type, within in asked.recent.items()],
        most=max(asked.most, most),
    )
    return [
        (
            element,
            id,
            is_active,
            _facts(dict(zip(asked.shown, shown, strict=True)), members, tallies, runs),
            inside,
            due,
        )
        for element, id, is_active, shown, members, tallies, runs, inside, due in found
    ]


def _facts(
    shown: dict[str, Any], members: list[tuple[str, int, int, int]], tallies: list[Any], runs: list[Any]
) -> Facts:
    """Facts from what the database tells; a list of recent events may be there several times, by identifier."""
    recent: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for type, events in runs:
        recent[type] += [(moment, amount) for moment, amount in events]
    first = min((first for _, _, first, _ in members), default=None)
    last = max((last for _, _, _, last in members), default=None)
    return Facts(
        shown,
        {namespace: many for namespace, many, _, _ in members},
        aggregates((Tally(*one) for one in tallies), first, last),
        {type: Recent(events) for type, events in recent.items()},
    )
