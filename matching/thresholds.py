"""Where to merge by itself, where to ask: chosen from the data, without labels.

The weights are log odds, so each candidate pair carries its own chance of being a match, and the expected precision,
recall and F1 of any threshold are sums over pairs. The automatic threshold is the one with the best expected F1 that
still expects enough precision. Where few records trained the model, chances are less sure than they look, so the
threshold is at least:

    SMALL · exp(-(records + labelled pairs) / FEW)     bits

Where pairs are labelled as one person's, recall is measured on them, also what blocking missed of them. They are
matches only: that a pair is not labelled says nothing, so the precision stays the model's own.

Where sources hold each person once, each pair has its chance among its rivals. Clusters there merge a record with its
best partner in a source, if at all, so only such pairs count for them.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SMALL, FEW = 5.0, 600.0
LEAST_PRECISION = 0.96
REVIEW_BELOW = 4.5  # bits under the automatic threshold that are worth a person's time
BELIEF = 300.0  # labelled pairs that the model's own word on recall counts for
LINKAGE = -4.0  # mean weight across two clusters below which their union is refused


@dataclass(frozen=True)
class Point:
    """What is expected of merging every pair at or above `weight`."""

    weight: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Thresholds:
    """In bits of match weight. `spread`: standard deviation of the expected precision, from the pairs' own chances.

    `labelled`: the pairs, known to be one person's, on which the expected recall was measured.
    """

    auto: float
    review: float
    linkage: float
    expected: Point
    spread: float
    raised: float
    labelled: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Thresholds":
        known: dict[str, Any] = {**data, "expected": Point(**data["expected"])}
        return cls(**known)

    @property
    def words(self) -> str:
        """How sure, in a sentence."""
        sure = "surely" if self.raised < 1 and self.spread < 0.01 else "roughly" if self.raised < 3 else "only roughly"
        return (
            f"merging from {self.auto:.1f} bits (p ≥ {_p(self.auto):.3f}) is expected, {sure}, to be right in "
            f"{self.expected.precision:.1%} of pairs (± {2 * self.spread:.1%}) and to find {self.expected.recall:.1%}"
        ) + (f", as {self.labelled:,} pairs of known persons show" if self.labelled else "")


def _p(weight: float) -> float:
    return 1 / (1 + 2.0**-weight)


Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Labelled pairs, grouped: weight in bits (-inf where no blocking rule finds them), and how many hold."""

    weight: Floats
    count: Floats

    @property
    def total(self) -> float:
        return float(self.count.sum())

    def found(self, at: float) -> float:
        return float(self.count[self.weight >= at].sum())


def best_of_both(left: Ints, right: Ints, weight: Floats, source: Ints) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which pairs are the best of both their records with the other's source, and the chance of each to be a match.

    At most one of a record's pairs with a source is one, so the chance is odds / (1 + odds + the odds of all rivals).
    `source`: of each record, by the numbers that the pairs have.
    """
    odds = np.exp2(np.clip(weight, -60, 60))
    best, rivals = np.ones(len(weight), dtype=np.bool_), np.zeros(len(weight))
    for one, other in ((left, right), (right, left)):
        place = np.unique(one * (source.max(initial=0) + 1) + source[other], return_inverse=True)[1]
        highest = np.full(len(weight), -np.inf)
        np.maximum.at(highest, place, weight)
        best &= weight == highest[place]
        rivals += np.bincount(place, odds)[place] - odds
    return best, odds / (1 + odds + rivals)


def choose(
    weight: Floats,
    count: Floats,
    matches: float,
    rows: int,
    labelled: Labelled | None = None,
    chance: Floats | None = None,
) -> tuple[Thresholds, list[Point]]:
    """Thresholds, and the curve they were chosen from.

    `weight`, `count`: of the candidate pairs, grouped. `matches`: expected matches among all pairs. `chance`: of each
    to be one, where its weight alone does not tell.
    """
    known = labelled or Labelled(np.empty(0), np.empty(0))
    raised = SMALL * math.exp(-(rows + known.total) / FEW)
    order = np.argsort(-weight, kind="stable")
    ordered, number = weight[order], count[order]
    chance = 1 / (1 + np.exp2(-np.clip(ordered, -60, 60))) if chance is None else chance[order]
    found, claimed = np.cumsum(chance * number), np.cumsum(number)
    total = max(matches, float(found[-1]) if len(found) else 0.0, 1e-9)

    def point(at: float) -> Point:
        k = int(np.searchsorted(-ordered, -at, side="right"))
        if k == 0:
            return Point(at, 1.0, 0.0, 0.0)
        precision, recall = float(found[k - 1] / claimed[k - 1]), min(float(found[k - 1] / total), 1.0)
        recall = (known.found(at) + BELIEF * recall) / (known.total + BELIEF)
        return Point(at, precision, recall, 2 * precision * recall / (precision + recall))

    curve = [point(at / 2) for at in range(-10, 51)]
    good = [p for p in curve if p.precision >= LEAST_PRECISION and p.weight >= 0] or curve[-1:]
    best = max(good, key=lambda p: (round(p.f1, 6), -p.weight)) if len(ordered) else Point(0.0, 1.0, 0.0, 0.0)
    auto = round(max(best.weight, raised), 2)
    k = int(np.searchsorted(-ordered, -auto, side="right"))
    spread = float(np.sqrt((number * chance * (1 - chance))[:k].sum()) / claimed[k - 1]) if k else 0.0
    review, linkage = round(auto - REVIEW_BELOW, 2), LINKAGE + raised / 2
    chosen = Thresholds(auto, review, linkage, point(auto), spread, round(raised, 2), round(known.total))
    return chosen, curve
