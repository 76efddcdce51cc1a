"""How good clusters are against known truth: pairwise and B³ precision, recall and F1.

Pairwise: over pairs of records in one cluster against pairs of one entity. B³ (Bagga and Baldwin 1998): for each
record the share of its cluster that is its entity's (precision), and of its entity that is in its cluster (recall),
averaged over records.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Quality:
    """Shares between 0 and 1."""

    precision: float
    recall: float
    f1: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def _quality(precision: float, recall: float) -> Quality:
    total = precision + recall
    return Quality(precision, recall, 2 * precision * recall / total if total else 0.0)


def pairwise(clusters: Mapping[str, Hashable], entities: Mapping[str, Hashable]) -> Quality:
    """Pairwise quality over the records that both know; 1 is the precision of no pairs, and the recall of none."""
    common = [(clusters[r], entities[r]) for r in clusters if r in entities]
    both = sum(_pairs(n) for n in Counter(common).values())
    claimed = sum(_pairs(n) for n in Counter(c for c, _ in common).values())
    true = sum(_pairs(n) for n in Counter(e for _, e in common).values())
    return _quality(both / claimed if claimed else 1.0, both / true if true else 1.0)


def b_cubed(clusters: Mapping[str, Hashable], entities: Mapping[str, Hashable]) -> Quality:
    """B³ quality over the records that both know."""
    common = [(clusters[r], entities[r]) for r in clusters if r in entities]
    if not common:
        return _quality(1.0, 1.0)
    overlap = Counter(common)
    by_cluster = Counter(c for c, _ in common)
    by_entity = Counter(e for _, e in common)
    precision = sum(n * n / by_cluster[c] for (c, _), n in overlap.items()) / len(common)
    recall = sum(n * n / by_entity[e] for (_, e), n in overlap.items()) / len(common)
    return _quality(precision, recall)


def _pairs(n: int) -> float:
    return n * (n - 1) / 2
