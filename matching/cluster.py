"""Clusters that hold: greedy agglomeration with every merge cross-checked.

Connected components chain: one false link joins two people whole. Here links are taken from the strongest down, and
two clusters are united only if the pairs *across* them agree on average, and no constraint forbids it:

    linkage(A, B) = mean over cross pairs of clip(weight, -LIMIT, +LIMIT)  ≥  threshold

Agreement on the average still lets a long chain grow, each link of it good. So there is a bound: a record *vouches* for
those that it has a pair with at or above the threshold, and

    records of a cluster  ≤  2 · (1 + the most of them that one record of it vouches for)

A union that would break it is refused. It is twice what some one record supports directly: room for the typos and
missing values that keep true pairs under the threshold, and not for a chain of strangers.

Cross pairs that no blocking rule produced are scored on demand; of large clusters a fixed sample is taken. Components
in which every pair is above the threshold need no such work, and most are of that kind. Ties are broken by record
order, which is the order of record ids, so the input's order is of no consequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LIMIT = 12.0
VETO = -7.0  # bits; one cross pair that contradicts so much refuses a union of small clusters
VETO_PAIRS = 4  # cross pairs of such small clusters
SAMPLE = 24  # cross pairs looked at before two clusters are united

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Weigh(Protocol):
    """Scores pairs on demand."""

    def load(self, rids: Ints) -> None:
        """Called once, before any pair is asked for, with all records that may be asked for."""
        ...

    def __call__(self, i: int, j: int) -> float: ...


@dataclass(frozen=True)
class Clusters:
    """`label[i]` is the smallest record index of i's cluster. `refused`: merges that cross-check or bound stopped."""

    label: Ints
    refused: int
    exclusive_refused: int


def cluster(
    left: Ints,
    right: Ints,
    weight: Floats,
    records: int,
    threshold: float,
    linkage: float = -2.0,
    weigh: Weigh | None = None,
    exclusive: Sequence[int] | None = None,
) -> Clusters:
    """Cluster `records` records by their scored pairs (also those below the threshold, down to where scoring stopped).

    `weigh(i, j)` scores a pair that is not among them; without it such a pair counts as -LIMIT/2.
    `exclusive[i]` ≥ 0 is the source of record i if that source holds each person once: two of it never meet.
    """  # fmt: skip
    strong = weight >= threshold
    count, component = connected_components(
        coo_matrix(
            (np.ones(int(strong.sum()), dtype=np.int8), (left[strong], right[strong])), shape=(records, records)
        ),
        directed=False,
    )
    label = _first_members(component, count, records)
    sizes = np.bincount(component, minlength=count)
    inner = np.bincount(component[left[strong]], minlength=count)
    whole = inner == sizes * (sizes - 1) // 2
    if exclusive is not None:
        source = np.asarray(exclusive)
        clash = strong & (source[left] == source[right]) & (source[left] >= 0)
        whole[component[left[clash]]] = False
    doubtful = ~whole & (sizes > 1)
    inside = doubtful[component[left]] & (component[left] == component[right])
    if weigh is not None:
        weigh.load(np.flatnonzero(doubtful[component]))
    refused = clashes = 0
    order = np.lexsort((right[inside], left[inside], component[left[inside]]))
    lefts, rights, weights = left[inside][order], right[inside][order], weight[inside][order]
    starts = np.flatnonzero(np.diff(component[lefts], prepend=-1))
    for begin, end in zip(starts, np.append(starts[1:], len(lefts)), strict=False):
        part = _Part(lefts[begin:end], rights[begin:end], weights[begin:end], threshold, linkage, weigh, exclusive)
        part.run()
        refused += part.refused
        clashes += part.clashes
        for members in part.members.values():
            label[members] = min(members)
    return Clusters(label, refused, clashes)


def _first_members(component: npt.NDArray[np.int32], count: int, records: int) -> Ints:
    first = np.full(count, records, dtype=np.int64)
    np.minimum.at(first, component, np.arange(records))
    return first[component]


class _Part:
    """One component that is not a clique."""

    def __init__(
        self, left: Ints, right: Ints, weight: Floats, threshold: float, least: float,
        weigh: Weigh | None, exclusive: Sequence[int] | None,
    ) -> None:  # fmt: skip
        self.known = {(int(a), int(b)): float(w) for a, b, w in zip(left, right, weight, strict=True)}
        nodes = np.unique(np.concatenate([left, right]))
        self.members: dict[int, list[int]] = {int(node): [int(node)] for node in nodes}
        self.root = {int(node): int(node) for node in nodes}
        self.sources: dict[int, set[int]] = (
            {int(n): {exclusive[int(n)]} - {-1} for n in nodes} if exclusive is not None else {}
        )
        order = np.lexsort((right, left, -np.round(weight, 9)))
        self.queue = [(int(left[i]), int(right[i])) for i in order if weight[i] >= threshold]
        self.vouched: dict[int, set[int]] = {int(node): set() for node in nodes}
        for a, b in self.queue:
            self.vouched[a].add(b)
            self.vouched[b].add(a)
        self.least, self.weigh = least, weigh
        self.refused = self.clashes = 0

    def run(self) -> None:
        tried: dict[tuple[int, int], tuple[int, int]] = {}
        for a, b in self.queue:
            ra, rb = self.root[a], self.root[b]
            if ra == rb:
                continue
            if self.sources and self.sources[ra] & self.sources[rb]:
                self.clashes += 1
                continue
            pair = (min(ra, rb), max(ra, rb))
            sizes = (len(self.members[pair[0]]), len(self.members[pair[1]]))
            if tried.get(pair) == sizes:  # the same two clusters, already refused
                continue
            if self.supported(*pair) and self.linkage(*pair) >= self.least:
                self.unite(ra, rb)
            else:
                tried[pair] = sizes
                self.refused += 1

    def unite(self, a: int, b: int) -> None:
        keep, lose = (a, b) if (len(self.members[a]), -a) >= (len(self.members[b]), -b) else (b, a)
        moved = self.members.pop(lose)
        for node in moved:
            self.root[node] = keep
        self.members[keep].extend(moved)
        if self.sources:
            self.sources[keep] |= self.sources.pop(lose)

    def supported(self, a: int, b: int) -> bool:
        """Does one record vouch for half of both clusters, itself included?"""
        both = {*self.members[a], *self.members[b]}
        return any(2 * (1 + len(self.vouched[i] & both)) >= len(both) for i in both)

    def linkage(self, a: int, b: int) -> float:
        ours, theirs = sorted(self.members[a]), sorted(self.members[b])
        total = len(ours) * len(theirs)
        step = max(1, total // SAMPLE)
        picked = range(0, total, step)
        found = [self.between(ours[k // len(theirs)], theirs[k % len(theirs)]) for k in picked]
        if total <= VETO_PAIRS and min(found) < VETO:
            return -LIMIT
        return sum(min(LIMIT, max(-LIMIT, weight)) for weight in found) / len(found)

    def between(self, i: int, j: int) -> float:
        pair = (i, j) if i < j else (j, i)
        found = self.known.get(pair)
        if found is None:
            found = self.weigh(*pair) if self.weigh is not None else -LIMIT / 2
            self.known[pair] = found
        return found
