"""Survivorship: which of the values that sources gave for a trait the golden record shows, and by which rule."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, cast

import orjson

from identity_graph.domain.events import AGGREGATES, Aggregates
from identity_graph.domain.rules import Survivorship, TraitRule, cleaned
from identity_graph.domain.traits import TraitType, as_date, microseconds, says_nothing, type_of

#: The rule of a value that a person set.
OVERRIDE = "override"
#: The rule of a value that events and observations add up to, and what stands for its source.
AGGREGATE = "aggregate"

NO_RULES: Mapping[str, TraitRule] = {}
_NEWEST = TraitRule()


@dataclass(frozen=True, slots=True)
class Traits:
    """What one record says: its source, when that was observed (microseconds since 1970), and values by name.

    ``record`` is the record's durable name. What has a ``reason`` is a person's word: it comes before all records.
    """

    source: str
    observed_at: int
    values: Mapping[str, Any]
    record: str = ""
    reason: str | None = None

    @property
    def is_override(self) -> bool:
        return self.reason is not None


@dataclass(frozen=True, slots=True)
class TraitValue:
    """A value, who said so, and when (microseconds since 1970), and a person why. ``value`` is any JSON but null."""

    value: Any
    source: str
    observed_at: int
    record: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GoldenTrait:
    """The value of a trait that survived, before the ``alternatives`` that did not, best first.

    ``rule`` names the criterion that put it before the first of them; ``newest`` where there is none.
    """

    name: str
    chosen: TraitValue
    rule: str
    alternatives: tuple[TraitValue, ...]


class _Claim(NamedTuple):
    value: Any
    text: bytes
    by: Traits


_Rank = Callable[[_Claim], Any]


def golden_record(
    records: Iterable[Traits], rules: Mapping[str, TraitRule] = NO_RULES, region: str | None = None
) -> list[GoldenTrait]:
    """The value of every trait that survives, by name, cleaned by its rule and those of its parts. ``region`` is for
    phone numbers.

    A trait's rule ranks what records say by its criteria one after the other, then by the newest. Null and blank texts
    say nothing, so they never win. Values that are equal as JSON, as 1 and 1.0 are, are one value, by whoever ranks
    first. Ties fall to the greater source, then the greater record, then the greater JSON text, so the order in which
    the records come does not matter.
    """
    return [
        _survivor(name, said, rules.get(name, _NEWEST))
        for name, said in sorted(_claims(records, rules, region).items())
    ]


def golden_values(
    records: Iterable[Traits], rules: Mapping[str, TraitRule] = NO_RULES, region: str | None = None
) -> dict[str, Any]:
    """The same values without whence they are.

    Where a trait has no rule the newest record that says something of it wins, so records are put in order once.
    """
    ordered = sorted(records, key=_standing, reverse=True)
    if any(_standing(one) == _standing(other) for one, other in pairwise(ordered)):
        # What they say decides between them, for each trait by itself.
        return {one.name: one.chosen.value for one in golden_record(ordered, rules, region)}
    found: dict[str, Any] = {}
    claims: dict[str, _Said] = defaultdict(list)
    for record in ordered:
        for name, value in cleaned(record.values, rules, region).items():
            if says_nothing(value):
                continue
            if name in rules:
                claims[name].append((value, record))
            else:
                found.setdefault(name, value)
    return found | {name: _survivor(name, said, rules[name]).chosen.value for name, said in claims.items()}


def with_aggregates(golden: Iterable[GoldenTrait], found: Aggregates) -> list[GoldenTrait]:
    """A golden record with what a person's events add up to, by name.

    What sources and people say of such a name goes before it, as segments have it; the aggregate is then the last
    alternative.
    """
    by_name = {one.name: one for one in golden}
    for name, type in AGGREGATES.items():
        value, at = found.trait(name), found.as_of(name)
        if value is None or at is None:
            continue
        told = as_date(int(value)) if type is TraitType.DATE else _one_form(value)
        summed, said = TraitValue(told, AGGREGATE, at), by_name.get(name)
        if said is None:
            by_name[name] = GoldenTrait(name, summed, AGGREGATE, ())
        else:
            by_name[name] = replace(said, alternatives=(*said.alternatives, summed))
    return [one for _, one in sorted(by_name.items())]


def with_declared(
    golden: Iterable[GoldenTrait], declared: Iterable[str], found: Mapping[str, tuple[float, int]]
) -> list[GoldenTrait]:
    """A golden record with the aggregates that the rules declare, by name. ``found`` has the value of each that the
    person has, and the moment of the last event that counts for it.

    It goes before what sources and people say of its name, which are its alternatives then. Who has no value has no
    such trait, whatever is said.
    """
    by_name = {one.name: one for one in golden}
    said = {name: by_name.pop(name, None) for name in declared}
    for name, (value, at) in found.items():
        one = said[name]
        others = (one.chosen, *one.alternatives) if one else ()
        by_name[name] = GoldenTrait(name, TraitValue(_one_form(value), AGGREGATE, at), AGGREGATE, others)
    return [one for _, one in sorted(by_name.items())]


def _standing(by: Traits) -> tuple[bool, int, str, str]:
    """How records stand to each other where no criterion decides; the greatest comes first."""
    return by.is_override, by.observed_at, by.source, by.record


_Said = list[tuple[Any, Traits]]


def _claims(records: Iterable[Traits], rules: Mapping[str, TraitRule], region: str | None) -> dict[str, _Said]:
    claims: dict[str, _Said] = defaultdict(list)
    for record in records:
        for name, value in cleaned(record.values, rules, region).items():
            if not says_nothing(value):
                claims[name].append((value, record))
    return claims


def _survivor(name: str, said: _Said, rule: TraitRule) -> GoldenTrait:
    claims = [
        _Claim(same := _one_form(value), orjson.dumps(same, option=orjson.OPT_SORT_KEYS), by) for value, by in said
    ]
    stated = [claim for claim in claims if claim.by.is_override]
    criteria = [_criterion(one, rule, claims) for one in rule.survivorship]

    def rank(claim: _Claim) -> tuple[Any, ...]:
        is_override, *last = _standing(claim.by)
        return is_override, *(criterion(claim) for criterion in criteria), *last, claim.text

    best: dict[bytes, _Claim] = {}
    for claim in sorted(claims, key=rank, reverse=True):
        best.setdefault(claim.text, claim)
    first, *after = best.values()
    chosen, others = _value(first), tuple(map(_value, after))
    if stated:
        return GoldenTrait(name, chosen, OVERRIDE, others)
    if Survivorship.UNION in rule.survivorship and after:
        whole = TraitValue(_union(best.values()), chosen.source, chosen.observed_at, chosen.record)
        return GoldenTrait(name, whole, Survivorship.UNION, (chosen, *others))
    ranked = zip(rule.survivorship, criteria, strict=True)
    decided = (one for one, criterion in ranked if after and criterion(first) != criterion(after[0]))
    return GoldenTrait(name, chosen, next(decided, Survivorship.NEWEST), others)


def _one_form(value: Any) -> Any:
    """The same JSON with whole numbers as such, since JSON has but one kind of number."""
    match value:
        case float() if value.is_integer() and abs(value) < 1 << 63:
            return int(value)
        case list():
            return [_one_form(one) for one in cast("list[Any]", value)]
        case dict():
            return {name: _one_form(one) for name, one in cast("dict[str, Any]", value).items()}
        case _:
            return value


def _value(claim: _Claim) -> TraitValue:
    return TraitValue(claim.value, claim.by.source, claim.by.observed_at, claim.by.record, claim.by.reason)


def _union(claims: Iterable[_Claim]) -> list[Any]:
    """All values, and those of lists, each once, in the order of their JSON texts."""
    parts: dict[bytes, Any] = {}
    for claim in claims:
        values = cast("list[Any]", claim.value) if isinstance(claim.value, list) else [claim.value]
        parts |= {orjson.dumps(v, option=orjson.OPT_SORT_KEYS): v for v in values if not says_nothing(v)}
    return [value for _, value in sorted(parts.items(), key=lambda part: part[0])]


def _criterion(one: Survivorship, rule: TraitRule, claims: Iterable[_Claim]) -> _Rank:
    """A function whose greatest value comes first. What a criterion cannot compare comes last by it."""
    match one:
        case Survivorship.NEWEST | Survivorship.UNION:
            return lambda claim: claim.by.observed_at
        case Survivorship.OLDEST:
            return lambda claim: -claim.by.observed_at
        case Survivorship.MOST_FREQUENT:
            times = Counter(claim.text for claim in claims)
            return lambda claim: times[claim.text]
        case Survivorship.SOURCE_PRIORITY:
            places = {source: -place for place, source in enumerate(rule.sources)}
            return lambda claim: places.get(claim.by.source, -len(places))
        case Survivorship.LONGEST:
            return lambda claim: len(claim.value) if isinstance(claim.value, str | list) else -1
        case Survivorship.MAX:
            return lambda claim: _measure(claim.value, 1)
        case Survivorship.MIN:
            return lambda claim: _measure(claim.value, -1)
        case Survivorship.ANY_TRUE:
            return lambda claim: {True: 2, False: 1}[claim.value] if isinstance(claim.value, bool) else 0
        case Survivorship.ALL_TRUE:
            return lambda claim: {False: 2, True: 1}[claim.value] if isinstance(claim.value, bool) else 0


def _measure(value: Any, sign: int) -> tuple[int, float]:
    """Numbers before dates before anything else."""
    match type_of(value):
        case TraitType.NUMBER:
            return 2, sign * value
        case TraitType.DATE:
            return 1, sign * (microseconds(value) or 0)
        case _:
            return 0, 0
