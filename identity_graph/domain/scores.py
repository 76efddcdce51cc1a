"""Predictive scores: how likely somebody does something within some days, judged by what they did before.

A model is a logistic regression over counts, sums and recency of events, see :func:`features`, and a sigmoid that makes
its answer a probability (Platt, "Probabilistic outputs for support vector machines", 1999). It is a few numbers, so it
is kept as JSON and asked without the library that trains it. Times are microseconds since 1970.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from identity_graph.domain.events import AGGREGATES, DAY, TYPE, UNIT

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_DAYS = 365
#: Days before the cut-off that are looked at one by one; beside them all that was before.
WINDOWS = (7, 30, 90)
#: Types of events that a model looks at, the most frequent: rare ones teach it about single people.
MAX_TYPES = 12
#: Days that stand for never.
NEVER = 3_650.0


class BadScore(Exception):
    """A score that cannot be learnt or applied; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Task:
    """Will somebody do an event of this ``type`` within so many ``days``?"""

    name: str
    type: str
    days: int

    def check(self) -> None:
        """Raises :class:`BadScore`."""
        if not NAME.fullmatch(self.name):
            raise BadScore("NAME: a score's name has 1 to 32 small letters, digits or '_', and begins with a letter")
        if self.name in AGGREGATES:
            raise BadScore(f"NAME: {self.name} is what events add up to; take another name")
        if not TYPE.fullmatch(self.type):
            raise BadScore("--event: a type has 1 to 64 small letters, digits, '_', '.', ':' or '-'")
        if not 0 < self.days <= MAX_DAYS:
            raise BadScore(f"--within-days: a whole number from 1 to {MAX_DAYS} is expected, not {self.days}")

    @property
    def span(self) -> int:
        return self.days * DAY


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a profile: identifiers as (key, first seen, is a device), and events as (type, source, at,
    amount in ten-thousandths)."""

    id: str
    members: Sequence[tuple[str, int, bool]]
    events: Sequence[tuple[str, str, int, int]]

    def known_at(self, at: int) -> bool:
        return any(first <= at for _, first, _ in self.members)

    def does(self, task: Task, after: int) -> bool:
        """Whether they do it within the days after a moment."""
        return any(type == task.type and after < at <= after + task.span for type, _, at, _ in self.events)


def feature_names(types: Sequence[str]) -> list[str]:
    windows = [*(f"{days} days" for days in WINDOWS), "ever"]
    return [
        "days since first seen",
        "devices",
        "sources",
        *(
            name
            for type in types
            for name in (
                *(f"{type}: {what}, {when}" for when in windows for what in ("count", "sum")),
                f"{type}: days since the last",
            )
        ),
    ]


def features(person: Person, at: int, types: Sequence[str]) -> list[float]:
    """What is known of somebody at a moment, in the order of :func:`feature_names`; nothing later is looked at.

    Each is log(1 + x), with its sign: what people do is spread over magnitudes.
    """
    before = [event for event in person.events if event[2] <= at]
    firsts = [first for _, first, _ in person.members if first <= at]
    found = [
        (at - min(firsts, default=at)) / DAY,
        sum(is_device and first <= at for _, first, is_device in person.members),
        len({source for _, source, _, _ in before}),
    ]
    for type in types:
        own = [(moment, amount) for kind, _, moment, amount in before if kind == type]
        for days in (*WINDOWS, None):
            within = [amount for moment, amount in own if days is None or moment > at - days * DAY]
            found += [len(within), sum(within) / UNIT]
        found.append(min(((at - moment) / DAY for moment, _ in own), default=NEVER))
    return [math.copysign(math.log1p(abs(x)), x) for x in found]


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model: features are standardised by ``means`` and ``scales``, weighed, and made a probability by the
    sigmoid of ``slope`` and ``offset``."""

    version: str
    task: Task
    types: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    slope: float
    offset: float

    def probability(self, row: Sequence[float]) -> float:
        terms = (w * (x - m) / s for x, m, s, w in zip(row, self.means, self.scales, self.weights, strict=True))
        logit = self.slope * (self.intercept + sum(terms)) + self.offset
        # Beyond this the answer is 0 or 1 to the last digit, and the exponential would overflow.
        return 1 / (1 + math.exp(-max(-40.0, min(40.0, logit))))


@dataclass(frozen=True, slots=True)
class Bin:
    """People with probabilities near each other: how many, what was expected of them on average, and what came."""

    people: int
    expected: float
    observed: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A model on people of a later time than it learnt from. ``brier_base`` is the Brier score of always saying the
    share that the training had, which a useful model is below."""

    people: int
    share: float
    auc: float
    brier: float
    brier_base: float
    bins: tuple[Bin, ...]


def reliability(expected: Sequence[float], happened: Sequence[bool], bins: int = 10) -> Iterator[Bin]:
    """People in groups of equal size by their probabilities, the lowest first."""
    ranked = sorted(zip(expected, happened, strict=True))
    for n in range(bins):
        some = ranked[n * len(ranked) // bins : (n + 1) * len(ranked) // bins]
        if some:
            yield Bin(len(some), sum(p for p, _ in some) / len(some), sum(y for _, y in some) / len(some))


def brier(expected: Sequence[float], happened: Sequence[bool]) -> float:
    """The mean squared difference between probability and outcome (Brier 1950); 0 is best."""
    return sum((p - y) ** 2 for p, y in zip(expected, happened, strict=True)) / len(expected)


def auc(expected: Sequence[float], happened: Sequence[bool]) -> float:
    """How often one who did it was given more than one who did not; ties count half (Mann and Whitney 1947)."""
    ranked = sorted(expected)
    ranks: Mapping[float, float] = _ranks(ranked)
    ones = sum(happened)
    total = sum(ranks[p] for p, y in zip(expected, happened, strict=True) if y)
    return (total - ones * (ones + 1) / 2) / (ones * (len(ranked) - ones))


def _ranks(ranked: Sequence[float]) -> dict[float, float]:
    """The mean rank, from 1, of each value in a sorted list."""
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for n, value in enumerate(ranked, 1):
        first.setdefault(value, n)
        last[value] = n
    return {value: (first[value] + last[value]) / 2 for value in first}
