"""Events: what people did, and how much of it there was. Times are microseconds since 1970 (UTC).

An event belongs to the identifier that it was observed with, never to a profile. A tally counts the events of one
identifier by type and source. So a person's aggregates are the sum over the tallies of the identifiers that are theirs
now, and a merge, a split or its undoing has no event to move and no number to mend.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from identity_graph.domain.traits import TraitType

#: Microseconds.
DAY = 86_400_000_000
#: What a type may be called.
TYPE = re.compile(r"[a-z0-9_.:-]{1,64}")
#: Amounts are whole numbers of ten-thousandths, so that sums are exact whatever their order.
UNIT = 10_000
#: Greatest amount of one event, in units: nearly a million of them fit into 64 bits.
MAX_AMOUNT = 1_000_000_000
#: The properties that hold an event's amount, the first that is a number counts.
AMOUNTS = ("value", "revenue")
#: Purchases make up the lifetime value.
PURCHASE = "purchase"

#: Stands for events of every type.
EVERY_TYPE = ""
#: Aggregates by the names that they have as traits, and what they are.
AGGREGATES: Mapping[str, TraitType] = {
    "favourite_channel": TraitType.TEXT,
    "first_seen": TraitType.DATE,
    "last_purchase": TraitType.DATE,
    "last_seen": TraitType.DATE,
    "lifetime_value": TraitType.NUMBER,
}
#: The type of the events that make up an aggregate; the others are about any observation.
OF_EVENTS: Mapping[str, str] = {
    "favourite_channel": EVERY_TYPE,
    "last_purchase": PURCHASE,
    "lifetime_value": PURCHASE,
}


class What(StrEnum):
    """What is told of events: how many there were, or what their amounts sum up to."""

    COUNT = "count"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Declared:
    """An aggregate that the rules declare: of the events of a ``type``, ever or in so many last ``days``.

    As a trait it is a number. Who has no such event has no such trait.
    """

    type: str = EVERY_TYPE
    what: What = What.COUNT
    days: int | None = None

    def since(self, at: int) -> int | None:
        """From when on events count at a moment, None for all."""
        return None if self.days is None else at - self.days * DAY

    @property
    def unit(self) -> int:
        """How many units, in which counts and sums are kept, make one of the trait's value."""
        return UNIT if self.what is What.SUM else 1

    def value(self, many: int, amount: int) -> int | float | None:
        """The trait's value by how many events there are and the sum of their amounts, in ten-thousandths."""
        if not many:
            return None
        return amount / UNIT if self.what is What.SUM else many


@dataclass(frozen=True, slots=True)
class Event:
    """What an observation says was done. ``properties`` is an object as JSON text with its keys sorted.

    ``amount`` is its value in ten-thousandths, None where it has none.
    """

    type: str
    properties: str
    amount: int | None = None


def amount_of(properties: Mapping[str, object]) -> int | None:
    """The amount of an event in ten-thousandths. Raises ``ValueError`` with the name of the property at fault."""
    for name in AMOUNTS:
        value = properties.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not abs(value) <= MAX_AMOUNT:
                raise ValueError(name)
            return round(value * UNIT)
    return None


@dataclass(frozen=True, slots=True)
class Tally:
    """The events of one type from one source: how many, the first and the last, and the sum of their amounts."""

    type: str
    source: str
    count: int
    first: int
    last: int
    amount: int = 0

    @classmethod
    def of(cls, event: Event, source: str, at: int) -> "Tally":
        return cls(event.type, source, 1, at, at, event.amount or 0)

    def plus(self, other: "Tally") -> "Tally":
        return replace(
            self,
            count=self.count + other.count,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
            amount=self.amount + other.amount,
        )


@dataclass(frozen=True, slots=True)
class Total:
    """All events of one type: ``amount`` is in ten-thousandths, ``sources`` are sorted."""

    type: str
    count: int
    first: int
    last: int
    amount: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aggregates:
    """What is known of a person's doings. ``first_seen`` and ``last_seen`` count any observation, not only events.

    ``totals`` are by type. ``favourite_channel`` is the source of most events, of equal ones the first by name.
    """

    first_seen: int | None = None
    last_seen: int | None = None
    totals: tuple[Total, ...] = ()
    favourite_channel: str | None = None

    def total(self, type: str) -> Total | None:
        return next((total for total in self.totals if total.type == type), None)

    @property
    def lifetime_value(self) -> int:
        """The amounts of all purchases, in ten-thousandths. Currencies are taken as they come."""
        purchases = self.total(PURCHASE)
        return purchases.amount if purchases else 0

    @property
    def last_purchase(self) -> int | None:
        purchases = self.total(PURCHASE)
        return purchases.last if purchases else None

    def trait(self, name: str) -> str | float | int | None:
        """One of :data:`AGGREGATES`: a text, a number, or a moment in microseconds since 1970. None for who has nothing
        that would add up to it: without a purchase there is no lifetime value."""
        match name:
            case "favourite_channel":
                return self.favourite_channel
            case "first_seen":
                return self.first_seen
            case "last_purchase":
                return self.last_purchase
            case "last_seen":
                return self.last_seen
            case "lifetime_value" if self.total(PURCHASE):
                return float(self.lifetime_value) / UNIT
            case _:
                return None

    def as_of(self, name: str) -> int | None:
        """The moment of the last event, or for ``first_seen`` and ``last_seen`` observation, that counts for one of
        :data:`AGGREGATES`; None where that is not known."""
        match OF_EVENTS.get(name):
            case None:
                return self.last_seen or self.first_seen
            case "":
                return max((total.last for total in self.totals), default=None)
            case type:
                total = self.total(type)
                return total.last if total else None


def aggregates(tallies: Iterable[Tally], first_seen: int | None = None, last_seen: int | None = None) -> Aggregates:
    """The sum of the tallies of a person's identifiers, in any order."""
    ranked = sorted(tallies, key=lambda tally: (tally.type, tally.source))
    channels: dict[str, int] = {}
    for tally in ranked:
        channels[tally.source] = channels.get(tally.source, 0) + tally.count
    totals = tuple(_total(type, list(some)) for type, some in groupby(ranked, key=lambda tally: tally.type))
    favourite = min(channels, key=lambda source: (-channels[source], source), default=None)
    return Aggregates(first_seen, last_seen, totals, favourite)


def _total(type: str, tallies: list[Tally]) -> Total:
    return Total(
        type,
        sum(tally.count for tally in tallies),
        min(tally.first for tally in tallies),
        max(tally.last for tally in tallies),
        sum(tally.amount for tally in tallies),
        tuple(sorted({tally.source for tally in tallies})),
    )
