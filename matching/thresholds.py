"""Where to merge by itself, where to ask: chosen from the data, without labels.

The weights are log odds, so each candidate pair carries its own chance of being a match, and the expected precision,
recall and F1 of any threshold are sums over pairs. The automatic threshold is the one with the best expected F1 that
still expects enough precision. Where few records trained the model, chances are less sure than they look, so the
threshold is at least:

    SMALL · exp(-records / FEW)     bits
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SMALL, FEW = 5.0, 600.0
LEAST_PRECISION = 0.96
REVIEW_BELOW = 4.5  # bits under the automatic threshold that are worth a person's time
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
    """In bits of match weight. `spread`: standard deviation of the expected precision, from the pairs' own chances."""

    auto: float
    review: float
    linkage: float
    expected: Point
    spread: float
    raised: float

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
        )


def _p(weight: float) -> float:
    return 1 / (1 + 2.0**-weight)


Floats = npt.NDArray[np.float64]


def choose(weight: Floats, count: Floats, matches: float, rows: int) -> tuple[Thresholds, list[Point]]:
    """Thresholds, and the curve they were chosen from.

    `weight`, `count`: of the candidate pairs, grouped. `matches`: expected matches among all pairs.
    """
    raised = SMALL * math.exp(-rows / FEW)
    order = np.argsort(-weight, kind="stable")
    ordered, number = weight[order], count[order]
    chance = 1 / (1 + np.exp2(-np.clip(ordered, -60, 60)))
    found, claimed = np.cumsum(chance * number), np.cumsum(number)
    total = max(matches, float(found[-1]) if len(found) else 0.0, 1e-9)

    def point(at: float) -> Point:
        k = int(np.searchsorted(-ordered, -at, side="right"))
        if k == 0:
            return Point(at, 1.0, 0.0, 0.0)
        precision, recall = float(found[k - 1] / claimed[k - 1]), float(found[k - 1] / total)
        return Point(at, precision, min(recall, 1.0), float(2 * found[k - 1] / (claimed[k - 1] + total)))

    curve = [point(at / 2) for at in range(-10, 51)]
    good = [p for p in curve if p.precision >= LEAST_PRECISION and p.weight >= 0] or curve[-1:]
    best = max(good, key=lambda p: (round(p.f1, 6), -p.weight)) if len(ordered) else Point(0.0, 1.0, 0.0, 0.0)
    auto = round(max(best.weight, raised), 2)
    k = int(np.searchsorted(-ordered, -auto, side="right"))
    spread = float(np.sqrt((number * chance * (1 - chance))[:k].sum()) / claimed[k - 1]) if k else 0.0
    chosen = Thresholds(
        auto, round(auto - REVIEW_BELOW, 2), LINKAGE + raised / 2, point(auto), spread, round(raised, 2)
    )
    return chosen, curve
