"""What would become of the profiles: by other rules, with more observations, with other matched links.

The whole evidence is read and the partition computed on it, in memory; the graph is left as it is.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from identity_graph.domain.decision import BLOCKED, REFUSED, SHARED
from identity_graph.domain.evidence import Key, Link, LinkKind, Observation, gather
from identity_graph.domain.matches import PROPOSED, TAKING_PART
from identity_graph.domain.rules import Rules
from identity_graph.services.compact import Compact, Ints, Parts
from identity_graph.services.stewardship import read_cannot_links
from identity_graph.store.graph import Graph

#: Profiles that are named, those that change most first.
MOST_AFFECTED = 20


@dataclass(frozen=True, slots=True)
class Affected:
    """A profile of ``size`` identifiers, which would be in ``parts`` profiles, together with ``others`` of today's."""

    id: str
    size: int
    parts: int
    others: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would change. Pairs are now and then; ``refused`` is by reason, in links; the others in identifiers.

    ``merges`` counts the profiles that end in others, ``splits`` the parts that come off.
    """

    merges: int
    splits: int
    profiles: tuple[int, int]
    shared: tuple[int, int]
    junk: tuple[int, int]
    refused: Mapping[str, tuple[int, int]]
    affected: tuple[Affected, ...]


class WholeEvidence:
    """All evidence of a graph, by number. ``home`` is each identifier's profile, -1 for none; ``links`` are those that
    take part, ``proposals`` the number of those that are proposed. Identifiers are read first: what is linked to one
    that was seen while links were read is left out.
    """

    def __init__(self, graph: Graph) -> None:
        self.keys: list[Key] = []
        self.number: dict[Key, int] = {}
        self.states: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        profiles: dict[str, int] = {}
        home = array("q")
        for key, state, _, _, _, profile, _ in _items(graph, "verify/identifiers"):
            self.number[key] = len(self.keys)
            self.keys.append(key)
            self.states[state] += 1
            home.append(-1 if profile is None else profiles.setdefault(profile, len(profiles)))
        self.home, self.profiles = np.array(home, np.int64), list(profiles)
        self.links: list[Link] = []
        self.proposals = 0
        for id, a, b, kind, source, first, last, count, weight, state, reason, _ in _items(graph, "verify/links"):
            if a not in self.number or b not in self.number:
                continue
            self.proposals += state == PROPOSED
            if state in TAKING_PART:
                self.links.append(Link(id, a, b, source, first, last, count, LinkKind(kind), weight or 0.0))
                if state == REFUSED:
                    self.reasons[reason] += 1
        self.apart = read_cannot_links(graph)

    def add(self, observations: Iterable[Observation]) -> None:
        """Observe more."""
        more = gather(observations)
        for key in sorted(more.identifiers - self.number.keys()):
            self.number[key] = len(self.keys)
            self.keys.append(key)
        self.home = np.append(self.home, np.full(len(self.keys) - len(self.home), -1, np.int64))
        added = {link.id: link for link in more.links}
        self.links = [_both(link, added.pop(link.id, None)) for link in self.links] + list(added.values())

    def compact(self, rules: Rules, links: Sequence[Link]) -> Compact:
        return Compact(
            self.keys,
            np.fromiter((rules.is_blocked_key(key) for key in self.keys), bool, len(self.keys)),
            self._ends([link.a for link in links]),
            self._ends([link.b for link in links]),
            np.ones(len(links), bool),
            np.array([link.kind is LinkKind.OBSERVED for link in links], bool),
            links.__getitem__,
            rules,
            self.apart,
        )

    def moves(self, then: Parts) -> tuple[int, int]:
        """How many profiles end in others, and how many parts come off."""
        pairs = self._pairs(then)
        return len(pairs) - len(np.unique(pairs[:, 1])), len(pairs) - len(np.unique(pairs[:, 0]))

    def affected(self, then: Parts) -> tuple[Affected, ...]:
        now, later = self._pairs(then).T
        parts = np.bincount(now, minlength=len(self.profiles))
        others = np.bincount(now, np.bincount(later, minlength=then.many)[later] - 1, len(self.profiles)).astype(int)
        size = np.bincount(self.home[self.home >= 0], minlength=len(self.profiles))
        change = parts - 1 + others
        most = sorted(np.flatnonzero(change > 0).tolist(), key=lambda n: (-change[n], -size[n], self.profiles[n]))
        return tuple(
            Affected(self.profiles[n], int(size[n]), int(parts[n]), int(others[n])) for n in most[:MOST_AFFECTED]
        )

    def _pairs(self, then: Parts) -> Ints:
        """Each profile with each that holds members of it then, once."""
        usable = (self.home >= 0) & (then.home >= 0)
        return np.unique(np.stack((self.home[usable], then.home[usable]), axis=1), axis=0)

    def _ends(self, keys: Sequence[Key]) -> Ints:
        return np.fromiter((self.number[key] for key in keys), np.int64, len(keys))


def simulate(graph: Graph, rules: Rules, observations: Iterable[Observation] = ()) -> Simulation:
    """What would become of the graph's profiles by these rules, had also these observations been made."""
    whole = WholeEvidence(graph)
    whole.add(observations)
    compact = whole.compact(rules, whole.links)
    then = compact.partition()
    reasons = Counter(refusal.code.value for refusal in then.refused.values())
    return Simulation(
        *whole.moves(then),
        (len(whole.profiles), then.many),
        (whole.states[SHARED], int(np.count_nonzero(compact.shared))),
        (whole.states[BLOCKED], int(np.count_nonzero(compact.blocked))),
        {code: (whole.reasons[code], reasons[code]) for code in sorted(whole.reasons.keys() | reasons.keys())},
        whole.affected(then),
    )


def _items(graph: Graph, name: str) -> Iterable[Sequence[Any]]:
    return chain.from_iterable(found for (found,) in graph.stream(name))


def _both(link: Link, more: Link | None) -> Link:
    if more is None:
        return link
    first, last = min(link.first_seen, more.first_seen), max(link.last_seen, more.last_seen)
    return replace(link, first_seen=first, last_seen=last, count=link.count + more.count)
