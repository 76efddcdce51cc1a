"""Survivorship: which of the values that sources gave for a trait the golden record shows, and by which rule."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class Traits:
    """What one record says: its source, when that was observed (microseconds since 1970), and values by name."""

    source: str
    observed_at: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TraitValue:
    """A value, who said so, and when (microseconds since 1970). ``value`` is any JSON value but null."""

    value: Any
    source: str
    observed_at: int


@dataclass(frozen=True, slots=True)
class GoldenTrait:
    """The value of a trait that survived, by the rule named, before the ``alternatives`` that did not, best first."""

    name: str
    chosen: TraitValue
    rule: str
    alternatives: tuple[TraitValue, ...]


def golden_record(records: Iterable[Traits]) -> list[GoldenTrait]:
    """The newest value of every trait, by name.

    Null and blank texts say nothing, so they never win over an older value. Values that are equal as JSON are one
    value, by whoever said it last. Ties fall to the greater source, then the greater JSON text, so the order in
    which the records come does not matter.
    """
    claims: dict[str, dict[bytes, tuple[int, str, Any]]] = defaultdict(dict)
    for record in records:
        for name, value in record.values.items():
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            claim = (record.observed_at, record.source, value)
            values = claims[name]
            if text not in values or claim[:2] > values[text][:2]:
                values[text] = claim
    return [_survivor(name, claims[name]) for name in sorted(claims)]


def _survivor(name: str, claims: Mapping[bytes, tuple[int, str, Any]]) -> GoldenTrait:
    ranked = sorted(claims.items(), key=lambda claim: (claim[1][0], claim[1][1], claim[0]), reverse=True)
    chosen, *others = (TraitValue(value, source, at) for _, (at, source, value) in ranked)
    return GoldenTrait(name, chosen, NEWEST, tuple(others))
