"""Paths of links between identifiers: how strongly is one thing connected to another."""

import heapq
from collections import defaultdict
from collections.abc import Iterable

from identity_graph.domain.evidence import Key

CERTAIN = 1.0


def match_probability(weight: float) -> float:
    """The probability of a match weight, as Splink defines both: p = 2^w / (1 + 2^w), in (0, 1)."""
    return 1.0 / (1.0 + 2.0**-weight) if weight > -1000 else 0.0


def confidence(links: Iterable[tuple[Key, Key, float | None]], start: Key) -> dict[Key, float]:
    """How sure it is that each identifier belongs with ``start``: the strength of the strongest path between them.

    A path is as strong as its weakest link. ``links`` are two ends and the match weight, None for a link that was
    observed or asserted: that one is certain (1.0). What no path reaches is not in the answer.
    """
    neighbours: dict[Key, list[tuple[Key, float]]] = defaultdict(list)
    for a, b, weight in links:
        strength = CERTAIN if weight is None else match_probability(weight)
        neighbours[a].append((b, strength))
        neighbours[b].append((a, strength))
    found: dict[Key, float] = {}
    # Dijkstra's algorithm with the minimum in place of the sum: what leaves the heap first has its strongest path.
    heap = [(-CERTAIN, start)]
    while heap:
        negated, key = heapq.heappop(heap)
        if key in found:
            continue
        found[key] = -negated
        for other, strength in neighbours[key]:
            if other not in found:
                heapq.heappush(heap, (max(negated, -strength), other))
    return found


def strongest_path(links: Iterable[tuple[str, Key, Key, float | None]], start: Key, end: Key) -> list[str]:
    """The ids of the links of the strongest path, in order from ``start``; of several the shortest. [] without one.

    ``links`` are an id, two ends and the match weight, None for one that is certain.
    """
    known = list(links)
    weakest = confidence([(a, b, weight) for _, a, b, weight in known], start).get(end)
    if weakest is None:
        return []
    neighbours: dict[Key, list[tuple[Key, str]]] = defaultdict(list)
    for id, a, b, weight in sorted(known, key=lambda link: link[0]):
        if weight is None or match_probability(weight) >= weakest:
            neighbours[a].append((b, id))
            neighbours[b].append((a, id))
    came: dict[Key, tuple[Key, str]] = {}
    reached = [start]
    for key in reached:
        for other, id in neighbours[key]:
            if other not in came and other != start:
                came[other] = key, id
                reached.append(other)
    path: list[str] = []
    while end != start:
        end, id = came[end]
        path.append(id)
    return path[::-1]
