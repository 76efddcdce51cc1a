"""Verification: the partition recomputed from the evidence, and every invariant of the graph checked against it; then
what is derived from it: golden values, tallies of events, memberships in segments.

The evidence is streamed out into arrays, which :mod:`identity_graph.services.compact` partitions. The graph should be
at rest: what is written while it is read looks like a contradiction.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice, pairwise
from typing import Any

import numpy as np

from identity_graph.domain.decision import BLOCKED, REFUSED, SHARED
from identity_graph.domain.evidence import Key, Link, LinkKind, Refusal
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.matches import PROPOSED, RETRACTED, TAKING_PART
from identity_graph.domain.partition import DisjointSets, is_crowded
from identity_graph.domain.rules import Rules
from identity_graph.services.ahead import ahead
from identity_graph.services.catalogue import read_catalogue
from identity_graph.services.compact import Compact, Ints, Parts, grouped
from identity_graph.services.observe import Clock, from_text
from identity_graph.services.stewardship import read_cannot_links
from identity_graph.services.submit import now
from identity_graph.services.verify_derived import other_golden_values, other_members, other_tallies
from identity_graph.store.graph import Graph

#: Examples kept of each kind of finding.
EXAMPLES = 20
#: Rows that are read ahead.
TOGETHER = 4000
_STATES = (*TAKING_PART, PROPOSED, RETRACTED)
_KINDS = tuple(LinkKind)


@dataclass(slots=True)
class Finding:
    """A broken invariant: how often, and the first few places."""

    count: int = 0
    examples: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Verdict:
    """What the graph holds, and each broken invariant by its name. ``changed``: it was written to meanwhile."""

    counts: dict[str, int]
    findings: dict[str, Finding]
    changed: bool

    @property
    def holds(self) -> bool:
        return not self.findings and not self.changed


def verify(
    graph: Graph,
    rules: Rules,
    *,
    show_keys: bool = False,
    told: Callable[[str], None] = lambda _: None,
    clock: Clock = now,
) -> Verdict:
    """Check every invariant; ``told`` gets what is being done.

    A finding names an identifier by its namespace and a hash, unless ``show_keys``.
    """
    before = _counts(graph)
    checked = _Verification(graph, rules, show_keys)
    checked.run(told, clock)
    return Verdict(before, checked.findings, _counts(graph) != before)


def broken(graph: Graph, rules: Rules) -> list[list[Key]]:
    """Where what is stored is not what these rules make of the evidence: identifiers, those of one matter together."""
    return _Suspects(graph, rules).people()


def _counts(graph: Graph) -> dict[str, int]:
    return next(iter(graph.stream("verify/counts")))[0]


class _Verification:
    """Everything that was read, by number: identifiers, profiles and links in the order in which they came."""

    def __init__(self, graph: Graph, rules: Rules, show_keys: bool) -> None:
        self.graph, self.rules, self.show_keys = graph, rules, show_keys
        self.findings: dict[str, Finding] = {}

    def run(self, told: Callable[[str], None], clock: Clock) -> None:
        # That takes the database as long as all else takes us, so it is asked first and answers last.
        with ThreadPoolExecutor(1) as asking:
            lost = asking.submit(lambda: list(self.graph.stream("verify/observations")))
            self._run(told)
            self._check_derived(told, clock)
            told("Reading the observations")
            self._found("observation of unknown identifiers", (f"observation {id}" for (id,) in lost.result()))

    def _run(self, told: Callable[[str], None]) -> None:
        self._check_decisions(told)
        told("Reading the past")
        self._check_past()
        told("Reading the records")
        records = (f"record {key}" for (key,) in self._rows("verify/records"))
        self._found("record without the anchor that it names", records)

    def _check_derived(self, told: Callable[[str], None], clock: Clock) -> None:
        told("Deriving the golden records")
        catalogue = self.graph.read_many(read_catalogue)
        golden = other_golden_values(self._rows("verify/golden"), self.rules, catalogue)
        self._found("golden value that does not follow from the records", golden)
        anchors = (f"{kind} {key}" for kind, key in self._rows("verify/anchored"))
        self._found("score or override without the anchor that it names", anchors)
        told("Counting the events")
        tallies = other_tallies(self._rows("verify/tallies"), "tally")
        self._found("tally that does not follow from the events", tallies)
        self._found("event that no tally counts", other_tallies(self._rows("verify/uncounted"), "event"))
        told("Evaluating the segments")
        for what, where in other_members(self.graph, self.rules, clock()):
            self._found(what, [where])
        misnamed = (f"profile {id}: {name}" for id, name in self._rows("verify/memberships_in_segments"))
        self._found("membership of a segment that names another profile", misnamed)

    def _check_decisions(self, told: Callable[[str], None]) -> None:
        """All that follows from the evidence by the rules."""
        told("Reading the identifiers")
        self._read_identifiers()
        told("Reading the links")
        self._read_links()
        told("Recomputing the partition")
        self.evidence = self._evidence()
        self._check_states()
        self._check_partners()
        parts = self.evidence.partition()
        self._check_links(parts)
        self._check_partition(parts)
        told("Reading the profiles")
        self._check_profiles(parts)

    def _rows(self, name: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement; the database goes on while those before them are looked at."""
        rows = iter(self.graph.stream(name))
        for some in ahead(iter(lambda: list(islice(rows, TOGETHER)), [])):
            yield from some

    def _lists(self, name: str) -> Iterator[list[Any]]:
        """The items of the lists that a statement returns."""
        for (found,) in self._rows(name):
            yield from found

    def _found(self, what: str, where: Iterable[str]) -> None:
        """Count what is broken; ``where`` are identifiers' keys, or names such as ``profile ID``."""
        for name in where:
            finding = self.findings.setdefault(what, Finding())
            finding.count += 1
            if len(finding.examples) < EXAMPLES:
                finding.examples.append(name if self.show_keys else _masked(name))

    def _at(self, numbers: Ints) -> Iterable[Key]:
        return (self.keys[number] for number in numbers.tolist())

    # -------------------------------------------------------------------------------------------- reading

    def _read_identifiers(self) -> None:
        self.number: dict[Key, int] = {}
        self.profiles: dict[str, int] = {}
        self.stored_partners: dict[int, list[Key]] = {}
        #: Where an identifier came from none, if that is not where it is.
        self.joined: dict[Key, str] = {}
        states: list[str] = []
        home, self.since = array("q"), array("q")
        again: list[Key] = []
        other: list[Key] = []
        for key, state, partners, repeated, since, profile, joined in self._lists("verify/identifiers"):
            number = self.number.setdefault(key, len(states))
            if number < len(states):
                again.append(key)
                continue
            states.append(state)
            if partners:
                self.stored_partners[number] = from_text(partners)
            if joined is not None:
                self.joined[key] = joined
            home.append(-1 if profile is None else self.profiles.setdefault(profile, len(self.profiles)))
            self.since.append(since or 0)
            if repeated is False:
                other.append(key)
        self.keys = list(self.number)
        self.home = np.array(home, np.int64)
        self.shared = np.array([state == SHARED for state in states], bool)
        self.blocked = np.array([state == BLOCKED for state in states], bool)
        self._found("identifier in several profiles", again)
        self._found("membership that names another identifier", other)
        self._found("identifier in no profile", self._at(np.flatnonzero(~self.blocked & (self.home < 0))))
        self._found("junk value in a profile", self._at(np.flatnonzero(self.blocked & (self.home >= 0))))

    def _read_links(self) -> None:
        self.links: list[str] = []
        sources: dict[str, int] = {}
        self.verdicts: dict[int, tuple[str | None, list[str] | None]] = {}
        columns = [array("q") for _ in range(8)]
        weights = array("d")
        unknown: list[str] = []
        for row in self._lists("verify/links"):
            id, a, b, kind, source, first, last, count, weight, state, reason, parties = row
            if a not in self.number or b not in self.number or a >= b:
                unknown.append(f"link {id}")
                continue
            if reason or parties:
                self.verdicts[len(self.links)] = reason, parties
            self.links.append(id)
            from_source = sources.setdefault(source, len(sources))
            numbers = (self.number[a], self.number[b], _KINDS.index(kind), from_source, first, last, count)
            for column, value in zip(columns, (*numbers, _STATES.index(state)), strict=True):
                column.append(value)
            weights.append(weight or 0.0)
        arrays = [np.array(column, np.int64) for column in columns]
        self.a, self.b, self.kind, self.link_source, self.first, self.last, self.count, self.state = arrays
        self.weight, self.source_names = weights, list(sources)
        self._found("link with unknown or unordered ends", unknown)

    def _link(self, number: int) -> Link:
        return Link(
            self.links[number],
            self.keys[self.a[number]],
            self.keys[self.b[number]],
            self.source_names[self.link_source[number]],
            int(self.first[number]),
            int(self.last[number]),
            int(self.count[number]),
            _KINDS[self.kind[number]],
            self.weight[number],
        )

    def _evidence(self) -> Compact:
        junk = np.fromiter((self.rules.is_blocked_key(key) for key in self.keys), bool, len(self.keys))
        self.cannot_links = read_cannot_links(self.graph)
        return Compact(
            self.keys,
            junk,
            self.a,
            self.b,
            self.state < _STATES.index("PROPOSED"),
            self.kind == _KINDS.index(LinkKind.OBSERVED),
            self._link,
            self.rules,
            self.cannot_links,
        )

    # -------------------------------------------------------------------------------------------- checking

    def _check_states(self) -> None:
        junk = np.flatnonzero(self.evidence.blocked != self.blocked)
        shared = np.flatnonzero(self.evidence.shared != self.shared)
        self._found("value blocked that is no junk, or the reverse", self._at(junk))
        self._found("identifier shared without cause, or the reverse", self._at(shared))

    def _check_partners(self) -> None:
        """Those of a shared identifier are only so many that they prove it."""
        e = self.evidence
        wrong: list[Key] = []
        seen: set[int] = set()
        for numbers, of in zip(grouped(e.partner, e.partner_of), np.unique(e.partner_of).tolist(), strict=True):
            partners = {self.keys[number] for number in numbers.tolist()}
            stored = self.stored_partners.get(of, [])
            seen.add(of)
            if e.shared[of]:
                right = partners.issuperset(stored) and is_crowded(self.keys[of], stored, self.rules)
            else:
                right = len(stored) == len(partners) and partners.issuperset(stored)
            if not right:
                wrong.append(self.keys[of])
        wrong += [self.keys[number] for number in self.stored_partners.keys() - seen]
        self._found("partners that do not follow from the links", wrong)

    def _check_links(self, parts: Parts) -> None:
        judged = self.state < _STATES.index("PROPOSED")
        refused = np.zeros(len(self.links), bool)
        refused[list(parts.refused)] = True
        wrong = np.flatnonzero(judged & (refused != (self.state == _STATES.index(REFUSED))))
        self._found(
            "link refused that should conduct, or the reverse", (f"link {self.links[n]}" for n in wrong.tolist())
        )
        reasons: list[str] = []
        for number in (self.verdicts.keys() | parts.refused.keys()).difference(wrong.tolist()):
            refusal: Refusal | None = parts.refused.get(number)
            expected = (refusal.code.value, list(refusal.parties) or None) if refusal else (None, None)
            reason, parties = self.verdicts.get(number, (None, None))
            if (reason, parties or None) != expected and judged[number]:
                reasons.append(f"link {self.links[number]}")
        self._found("link refused for another reason or by other parties", reasons)

    def _check_partition(self, parts: Parts) -> None:
        """Both partitions are one if every profile of either meets just one of the other."""
        housed = np.flatnonzero((self.home >= 0) & (parts.home >= 0))
        pairs = np.unique(self.home[housed] * max(1, parts.many) + parts.home[housed], return_index=True)
        stored, computed = np.divmod(pairs[0], max(1, parts.many))
        first = housed[pairs[1]]
        self._found("profile that the evidence does not hold together", self._at(first[_repeated(stored)]))
        self._found("profiles that the evidence joins", self._at(first[_repeated(computed)]))

    def _check_profiles(self, parts: Parts) -> None:
        many = len(self.profiles)
        housed = self.home >= 0
        size = np.bincount(self.home[housed], minlength=many)
        ends = self.home[np.concatenate((self.a[parts.apart], self.b[parts.apart]))]
        refused = np.bincount(ends[ends >= 0], minlength=many)
        bounded = np.flatnonzero(self.evidence.bounded() & housed)
        limited: dict[int, list[Key]] = defaultdict(list)
        for number in bounded[np.argsort(self.evidence.rank[bounded])].tolist():
            limited[int(self.home[number])].append(self.keys[number])
        guarded = {int(self.home[self.number[key]]) for apart in self.cannot_links for key in apart.keys}
        alive: set[str] = set()
        led: list[tuple[str, list[str]]] = []
        found: dict[str, list[str]] = defaultdict(list)
        for id, status, holds, apart, limits, guard, survivors in self._rows("verify/profiles"):
            said = (holds, apart, sorted(from_text(limits)), bool(guard))
            number = self.profiles.get(id, -1)
            members = int(size[number]) if number >= 0 else 0
            if status != "MERGED":
                alive.add(id)
                if (members == 0) != (status == "ERASED"):
                    found[f"{status.lower()} profile {'with' if members else 'without'} members"].append(id)
                if survivors:
                    found["active profile that leads to another"].append(id)
            else:
                led.append((id, survivors))
                if members:
                    found["merged profile with members"].append(id)
            expected = [0, 0, [], False]
            if number >= 0:
                expected = [members, int(refused[number]), limited.get(number, []), number in guarded]
            names = ("size", "number of refused links", "limited identifiers", "guard")
            for name, mine, right in zip(names, said, expected, strict=True):
                if mine != right and (members or name != "guard"):
                    found[f"profile with a wrong {name}"].append(id)
        found["tombstone that does not lead straight to one living profile"] = [
            id for id, survivors in led if len(survivors) != 1 or survivors[0] not in alive
        ]
        for what, ids in found.items():
            self._found(what, (f"profile {id}" for id in ids))

    def _check_past(self) -> None:
        """Memberships follow each other without a gap, each move is told by a change, and from where identifiers joined
        the changes lead to where they are.
        """
        past: dict[Key, list[tuple[int, int, str]]] = defaultdict(list)
        turned: list[Key] = []
        for key, since, until, profile in self._rows("verify/memberships"):
            if until is None or since > until:
                turned.append(key)
            else:
                past[key].append((since, until, profile))
        self._found("membership that ends before it begins", turned)
        names = list(self.profiles)
        told: Counter[tuple[Key, str, int]] = Counter()
        retracted: set[tuple[Key, int]] = set()
        last: dict[Key, tuple[int, str | None]] = {}
        for _, at, keys, targets in self._rows("verify/changes"):
            newest = (at, targets[0] if targets else None)
            last.update((key, newest) for key in keys if at >= last.get(key, newest)[0])
            told.update((key, target, at) for target in targets for key in keys)
            if not targets:
                retracted.update((key, at) for key in keys)
        moved: Counter[tuple[Key, str, int]] = Counter()
        gaps: list[Key] = []
        lost: list[Key] = []
        for key, spans in past.items():
            number = self.number.get(key)
            if number is not None and self.home[number] >= 0:
                now = self.since[number]
                spans.append((now, now, names[self.home[number]]))
            elif (key, max(until for _, until, _ in spans)) not in retracted:
                lost.append(key)
            for (_, until, _), (since, _, profile) in pairwise(sorted(spans)):
                if (key, until) in retracted:
                    continue
                if until != since:
                    gaps.append(key)
                moved[key, profile, since] += 1
        self._found("memberships that overlap or leave a gap", gaps)
        astray = (key for key in last.keys() | self.joined.keys() if not self._is_where_it_went(key, last, names))
        self._found("member that is not where the changes lead", astray)
        self._found("member that left without a change that tells it", lost)
        self._found("move that no change tells", (key for key, _, _ in moved - told))
        self._found("change that tells a move that never was", (key for key, _, _ in told - moved))

    def _is_where_it_went(self, key: Key, last: Mapping[Key, tuple[int, str | None]], names: Sequence[str]) -> bool:
        """``last`` is the newest change that moved each identifier, and to where; None where it left all profiles."""
        number = self.number.get(key, -1)
        home = names[self.home[number]] if number >= 0 and self.home[number] >= 0 else None
        _, went = last.get(key, (0, None))
        return (went or self.joined.get(key, home)) == home


class _Suspects(_Verification):
    """All places where something about the partition is found, and nothing else."""

    def __init__(self, graph: Graph, rules: Rules) -> None:
        super().__init__(graph, rules, show_keys=True)
        self.names: set[str] = set()

    def _found(self, what: str, where: Iterable[str]) -> None:
        self.names.update(where)

    def people(self) -> list[list[Key]]:
        self._check_decisions(lambda _: None)
        ids = list(self.profiles)
        matters = DisjointSets()
        suspects: set[Key] = set()

        def suspect(number: int) -> Key:
            key = self.keys[number]
            suspects.add(key)
            home = int(self.home[number])
            return matters.join(f"profile {ids[home]}", key) if home >= 0 else matters.find(key)

        first = dict(zip(*np.unique(self.home, return_index=True), strict=True))
        for name in sorted(self.names):
            if name in self.number:
                suspect(self.number[name])
            elif name.startswith("profile ") and (home := self.profiles.get(name.removeprefix("profile "))) is not None:
                suspect(int(first[home]))
        for number, id in enumerate(self.links):
            if f"link {id}" in self.names:
                matters.join(suspect(int(self.a[number])), suspect(int(self.b[number])))
        people: dict[str, list[Key]] = defaultdict(list)
        for key in sorted(suspects):
            people[matters.find(key)].append(key)
        return list(people.values())


def _repeated(values: Ints) -> Ints:
    """Where a value stands that stands several times; the first of each is left out."""
    order = np.argsort(values, kind="stable")
    return order[1:][np.diff(values[order]) == 0]


def _masked(name: str) -> str:
    """A name that tells nobody. Ids of profiles and links are ours and say nothing anyway."""
    kind, _, rest = name.partition(" ")
    match kind:
        case "profile" | "link":
            return name
        case "record" | "observation" | "event" | "tally" | "score" | "override":
            return f"{kind} {_hash(rest)}"
        case _:
            return f"{split_key(name)[0]}:{_hash(name)}"


def _hash(text: str) -> str:
    return "#" + blake2b(text.encode(), digest_size=4).hexdigest()
