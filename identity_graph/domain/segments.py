"""Segments: rules over what is known of a profile, and whether one profile satisfies them.

A rule is a tree of conditions. It has one meaning and two ways to be asked: of one profile here, and of all profiles in
the database (``store/segment_query.py``). What a profile lacks satisfies no condition about it, so ``notEquals`` wants
the trait to be there, and ``not`` turns exactly what is false.

Aggregates such as ``lifetime_value`` are traits too. What a source or a person says of a trait of that name goes
before. An aggregate that the graph's rules declare goes before what anybody says: a condition on it is read as one on
its events.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from itertools import accumulate
from math import ceil, floor, inf, isfinite
from typing import Any, TypeAlias, cast

from identity_graph.domain.events import AGGREGATES, DAY, EVERY_TYPE, OF_EVENTS, TYPE, UNIT, Aggregates, Declared, What
from identity_graph.domain.rules import NamespaceClass, Rules
from identity_graph.domain.traits import DATE, NAME, TRAIT, TraitType, as_date, microseconds

#: Groups within groups: what a person can still read.
MAX_DEPTH = 5
#: Conditions of one rule, those of the segments that it names included: each costs every profile.
MAX_CONDITIONS = 100
#: Values of one list, and characters of one value: below what a profile's text is cut at, so a cut one never matches.
MAX_VALUES, MAX_VALUE = 1_000, 1_000
MAX_DAYS = 36_500
MAX_NAME = 64
#: Greatest bound of a count; of events in a number of days, each of which is looked at when one of them passes.
MAX_SIZE, MAX_EVENTS = 1_000_000, 1_000
#: Events of one identifier and type in a number of days whose amounts are summed, the latest: robots have millions.
MAX_SUMMED = 10_000
#: Greatest bound of a sum: in ten-thousandths it fits into 64 bits.
MAX_SUM = 1_000_000_000_000
#: Beyond every count and every sum, and within 64 bits.
_BEYOND = 1 << 62
#: Names that a message lists where none is near to what was written.
MAX_NAMED = 20

SEEN, IDENTIFIERS, EVENTS = "seen", "identifiers", "events"
"""Names of the facts that are no property of the profile. Of events there is also ``events:TYPE`` for each type, and
``events:`` for all of them."""

UNKNOWN = "UNKNOWN_TRAIT"
"""The code of what is no mistake yet: a rule may be there before the data."""

Path: TypeAlias = tuple[str, ...]
Value: TypeAlias = str | float | bool


class InvalidRule(Exception):
    """A rule that cannot be used: a machine-readable code, a sentence, and the path to what is wrong."""

    def __init__(self, code: str, message: str, path: Path = ()) -> None:
        super().__init__(message)
        self.code, self.path = code, path


class Recent:
    """The latest events of one type: their ``moments``, in microseconds since 1970, the latest first."""

    __slots__ = ("_sums", "moments")

    def __init__(self, events: Iterable[tuple[int, int]] = ()) -> None:
        """``events`` are moments and amounts (in ten-thousandths)."""
        ordered = sorted(events, reverse=True)
        self.moments = [moment for moment, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def since(self, moment: int) -> tuple[int, int]:
        """How many there were from a moment on, and the sum of their amounts."""
        many = bisect_right(self.moments, -moment, key=lambda at: -at)
        return many, self._sums[many]


NONE_RECENT = Recent()
NONE_DECLARED: Mapping[str, Declared] = {}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules are about: the properties that show the golden record, how many identifiers there are of each
    namespace, what the events add up to, and the latest events of each type, as many as a rule may count or sum."""

    shown: Mapping[str, Any]
    namespaces: Mapping[str, int]
    aggregates: Aggregates = field(default_factory=Aggregates)
    recent: Mapping[str, Recent] = field(default_factory=dict[str, Recent])

    @property
    def last_seen(self) -> int:
        """Microseconds since 1970."""
        return self.aggregates.last_seen or 0

    def value(self, name: str) -> Any:
        """What a trait's value is, None where there is none; of an aggregate that is a moment only what sources say."""
        shown = self.shown.get(TRAIT + name)
        if shown is None and name in AGGREGATES and AGGREGATES[name] is not TraitType.DATE:
            return self.aggregates.trait(name)
        return shown

    def date(self, name: str) -> Any:
        """The moment that a trait says, in microseconds since 1970."""
        if AGGREGATES.get(name) is TraitType.DATE and self.shown.get(TRAIT + name) is None:
            return self.aggregates.trait(name)
        return self.shown.get(DATE + name)

    def told(self, name: str) -> Any:
        """A trait's value as it is told."""
        value, date = self.value(name), self.date(name)
        return as_date(date) if value is None and date is not None else value


@dataclass(frozen=True, slots=True)
class Test:
    """An operator and what it compares with: a number, text, boolean, tuple of them, or microseconds."""

    operator: str
    operand: Any


@dataclass(frozen=True, slots=True)
class TraitIs:
    """A trait satisfies all these tests."""

    name: str
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class HasIdentifiers:
    """So many identifiers, of a namespace, of a class of namespaces, or at all. Bounds are inclusive."""

    namespace: str | None
    cls: NamespaceClass | None
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """When any identifier was last seen: ``withinDays``, ``before`` or ``after``."""

    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Happened:
    """So many events of a type or of every type, ever or ``within`` the last microseconds, whose amounts sum up to so
    much, in ten-thousandths. Bounds are inclusive; a sum has none where neither is given."""

    type: str
    least: int
    most: int | None
    within: int | None
    sum_least: int | None = None
    sum_most: int | None = None

    @property
    def sums(self) -> bool:
        return self.sum_least is not None or self.sum_most is not None

    @property
    def enough(self) -> int:
        """How many of the latest events tell whether it holds; of each identifier, where they are summed."""
        return MAX_SUMMED if self.sums else max(self.least, 1, 0 if self.most is None else self.most + 1)


@dataclass(frozen=True, slots=True)
class AggregateIs:
    """An aggregate that the rules declare satisfies all these tests: ``means`` says so of its events, of which ``some``
    says that there are any."""

    name: str
    of: Declared
    tests: tuple[Test, ...]
    some: Happened
    means: "Rule"


@dataclass(frozen=True, slots=True)
class InSegment:
    """The profile satisfies another segment's rule."""

    name: str


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    part: "Rule"


Leaf: TypeAlias = TraitIs | AggregateIs | HasIdentifiers | Seen | Happened | InSegment
Rule: TypeAlias = AllOf | AnyOf | Not | Leaf


# --- Reading a rule


def parse_rule(raw: object, declared: Mapping[str, Declared] = NONE_DECLARED) -> Rule:
    """A rule from JSON, in the form of the contract, where the graph's rules declare these aggregates. Raises
    :class:`InvalidRule`, but not for what is declared: a rule that fitted before it was is a rule still."""
    path = ("rule",)
    found = _rule(raw, path, 1)
    if sum(1 for _ in leaves(found)) > MAX_CONDITIONS:
        raise InvalidRule("RULE_TOO_LARGE", f"a rule has at most {MAX_CONDITIONS} conditions", path)
    return _with_declared(found, declared) if declared else found


def parts_of(rule: Rule) -> "tuple[Rule, ...]":
    """What must all hold for the rule to hold, one by one."""
    return rule.parts if isinstance(rule, AllOf) else (rule,)


def leaves(rule: Rule) -> Iterator[Leaf]:
    """The conditions of a rule that are no groups."""
    return (leaf for _, leaf in located(rule))


def located(rule: Rule, path: Path = ("rule",)) -> Iterator[tuple[Path, Leaf]]:
    """The same, each with the path to it."""
    match rule:
        case AllOf(parts) | AnyOf(parts):
            for n, part in enumerate(parts):
                yield from located(part, (*path, "all" if isinstance(rule, AllOf) else "any", str(n)))
        case Not(part):
            yield from located(part, (*path, "not"))
        case _:
            yield path, rule


def _with_declared(rule: Rule, declared: Mapping[str, Declared]) -> Rule:
    match rule:
        case AllOf(parts):
            return AllOf(tuple(_with_declared(part, declared) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_with_declared(part, declared) for part in parts))
        case Not(part):
            return Not(_with_declared(part, declared))
        case TraitIs(name, tests) if name in declared:
            of = declared[name]
            some = Happened(of.type, 1, None, None if of.days is None else of.days * DAY)
            return AggregateIs(name, of, tests, some, _of_events(of, some, tests))
        case _:
            return rule


def _of_events(of: Declared, some: Happened, tests: Sequence[Test]) -> Rule:
    """What events there must be for an aggregate to satisfy all tests; what no number satisfies, no events do."""
    ranges: list[_Range] = [(-inf, inf)]
    for test in tests:
        allowed = _ranges(test, of.unit)
        ranges = [(max(a, b), min(c, d)) for a, c in ranges for b, d in allowed if max(a, b) <= min(c, d)]
    if any(test.operator == "exists" and not test.operand for test in tests):
        return Not(some) if len(tests) == 1 else AllOf((Not(some), some))
    bounds = dict.fromkeys((_whole_bound(least), _whole_bound(most)) for least, most in ranges)
    if of.what is What.SUM:
        found = [replace(some, sum_least=least, sum_most=most) for least, most in bounds]
    else:
        found = [replace(some, least=max(least or 1, 1), most=most) for least, most in bounds]
    return found[0] if len(found) == 1 else AnyOf(tuple(found)) if found else AllOf((Not(some), some))


_Range: TypeAlias = tuple[float, float]
"""The least and the greatest of some whole numbers, or infinite."""


def _ranges(test: Test, unit: int) -> list[_Range]:
    """The numbers that satisfy a test, in units. What is asked is taken as it is written, so 0.1 is a tenth."""
    if test.operator == "exists":
        return [(-inf, inf)]
    values = test.operand if isinstance(test.operand, tuple) else (test.operand,)
    asked = [Fraction(repr(one)) * unit for one in values if isinstance(one, float) and isfinite(one)]
    if test.operator == "notEquals":
        return [(-inf, ceil(asked[0]) - 1), (floor(asked[0]) + 1, inf)] if asked else [(-inf, inf)]
    to_range: Callable[[Fraction], _Range] | None = _TO_RANGE.get(test.operator)
    return [to_range(one) for one in asked] if to_range else []


_TO_RANGE: Mapping[str, Callable[[Fraction], _Range]] = {
    "equals": lambda at: (ceil(at), floor(at)),
    "in": lambda at: (ceil(at), floor(at)),
    "atLeast": lambda at: (ceil(at), inf),
    "atMost": lambda at: (-inf, floor(at)),
    "greaterThan": lambda at: (floor(at) + 1, inf),
    "lessThan": lambda at: (-inf, ceil(at) - 1),
}


def _whole_bound(number: float) -> int | None:
    return None if number in (-inf, inf) else int(max(-_BEYOND, min(_BEYOND, number)))


_READERS: "Mapping[str, Callable[[Mapping[str, Any], Path], Leaf]]" = {
    "trait": lambda raw, path: _trait(raw, path),
    "identifiers": lambda raw, path: _identifiers(raw, path),
    "seen": lambda raw, path: Seen(_tests(raw, path, ("withinDays", "before", "after"))),
    "events": lambda raw, path: _events(raw, path),
    "segment": lambda raw, path: InSegment(segment_name(raw.get("name"), (*path, "name"))),
}
_GROUPS = ("all", "any", "not")


def _rule(raw: object, path: Path, depth: int) -> Rule:
    said = _table(raw, path, "a condition")
    if len(said) != 1:
        message = f"a condition has exactly one of {', '.join((*_GROUPS, *_READERS))}, this one has {len(said)}"
        raise InvalidRule("INVALID_RULE", message, path)
    ((kind, inner),) = said.items()
    here = (*path, kind)
    if kind in _READERS:
        return _READERS[kind](_table(inner, here, kind), here)
    if kind not in _GROUPS:
        message = f"there is no condition {kind[:40]}{near(kind, (*_GROUPS, *_READERS))}"
        raise InvalidRule("UNKNOWN_CONDITION", message, here)
    if depth > MAX_DEPTH:
        raise InvalidRule("RULE_TOO_DEEP", f"groups are nested at most {MAX_DEPTH} deep", here)
    if kind == "not":
        return Not(_rule(inner, here, depth + 1))
    if not isinstance(inner, list) or not inner:
        raise InvalidRule("INVALID_RULE", f"{kind} is a list of at least one condition", here)
    items = cast("list[object]", inner)
    parts = tuple(_rule(part, (*here, str(n)), depth + 1) for n, part in enumerate(items))
    return AllOf(parts) if kind == "all" else AnyOf(parts)


def _table(raw: object, path: Path, what: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise InvalidRule("INVALID_RULE", f"{what} is an object of names and values", path)
    return {str(name): value for name, value in cast("Mapping[object, Any]", raw).items() if value is not None}


def near(word: str, known: Sequence[str]) -> str:
    """What was meant perhaps, for the end of a message; else what there is."""
    close = get_close_matches(word, known, 1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known[:MAX_NAMED])}" if known else ""


def segment_name(name: object, path: Path = ("name",)) -> str:
    """A name of 1 to 64 printable characters. Raises :class:`InvalidRule`."""
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise InvalidRule("INVALID_NAME", f"a segment's name has 1 to {MAX_NAME} printable characters", path)
    return name


def _trait(raw: Mapping[str, Any], path: Path) -> TraitIs:
    name = raw.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message = "a trait's name here has 1 to 64 letters, digits, blanks, '_', '.' or '-'"
        raise InvalidRule("INVALID_NAME", message, (*path, "name"))
    operators = {key: value for key, value in raw.items() if key != "name"}
    return TraitIs(name, _tests(operators, path, tuple(_OPERANDS)))


def _identifiers(raw: Mapping[str, Any], path: Path) -> HasIdentifiers:
    _only(raw, path, ("namespace", "namespaceClass", "atLeast", "atMost"))
    namespace, named = raw.get("namespace"), raw.get("namespaceClass")
    if namespace is not None and named is not None:
        raise InvalidRule("INVALID_RULE", "give a namespace or a namespaceClass, not both", path)
    if namespace is not None and not isinstance(namespace, str):
        raise InvalidRule("TYPE_MISMATCH", "namespace is a text", (*path, "namespace"))
    if named is not None and named not in list(NamespaceClass):
        message = f"namespaceClass is one of {', '.join(NamespaceClass)}"
        raise InvalidRule("INVALID_RULE", message, (*path, "namespaceClass"))
    least, most = _bounds(raw, path, MAX_SIZE)
    return HasIdentifiers(namespace, None if named is None else NamespaceClass(named), least, most)


def _events(raw: Mapping[str, Any], path: Path) -> Happened:
    _only(raw, path, ("type", "count", "sum", "withinDays"))
    type, days = raw.get("type"), raw.get("withinDays")
    if not isinstance(type, str) or not TYPE.fullmatch(type):
        message = "an event's type has 1 to 64 small letters, digits, '_', '.', ':' or '-'"
        raise InvalidRule("INVALID_NAME", message, (*path, "type"))
    here = (*path, "count")
    count = _table({} if raw.get("count") is None else raw.get("count"), here, "count")
    _only(count, here, ("atLeast", "atMost"))
    within = None if days is None else _days(days, (*path, "withinDays"))
    least, most = _bounds(count, here, MAX_SIZE if within is None else MAX_EVENTS)
    return Happened(type, least, most, within, *_sums(raw.get("sum"), (*path, "sum")))


def _sums(raw: object, path: Path) -> tuple[int | None, int | None]:
    """The bounds of a sum in ten-thousandths."""
    if raw is None:
        return None, None
    given = _table(raw, path, "sum")
    _only(given, path, ("atLeast", "atMost"))
    if not given:
        raise InvalidRule("INVALID_RULE", "give at least one operator: atLeast, atMost", path)
    least, most = (_amount(given.get(key), (*path, key)) for key in ("atLeast", "atMost"))
    return least, most


def _amount(value: object, path: Path) -> int | None:
    if value is None:
        return None
    number = _number(value, path)
    if not abs(number) <= MAX_SUM:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a number up to {MAX_SUM:,}", path)
    return round(number * UNIT)


def _bounds(raw: Mapping[str, Any], path: Path, greatest: int) -> tuple[int, int | None]:
    """The bounds of a count; one at least, where none is given."""
    least, most = (_whole(raw.get(key), (*path, key), greatest) for key in ("atLeast", "atMost"))
    if least is None:
        least = 1 if most is None else 0
    return least, most


def _whole(value: object, path: Path, greatest: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= greatest:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} is a whole number from 0 to {greatest:,}", path)
    return value


def _only(raw: Mapping[str, Any], path: Path, known: Sequence[str]) -> None:
    for key in raw:
        if key not in known:
            message = f"there is no operator {key[:40]} here{near(key, known)}"
            raise InvalidRule("UNKNOWN_OPERATOR", message, (*path, key))


def _tests(raw: Mapping[str, Any], path: Path, known: Sequence[str]) -> tuple[Test, ...]:
    _only(raw, path, known)
    if not raw:
        raise InvalidRule("INVALID_RULE", f"give at least one operator: {', '.join(known)}", path)
    return tuple(Test(key, _OPERANDS[key](value, (*path, key))) for key, value in sorted(raw.items()))


def _single(value: object, path: Path) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, path)
    if isinstance(value, str):
        return _words(value, path)
    raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a text, number or boolean", path)


def _words(value: object, path: Path) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_VALUE:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a text of 1 to {MAX_VALUE:,} characters", path)
    return value


def _number(value: object, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a number", path)
    try:
        return float(value) + 0.0
    except OverflowError:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a number of at most 308 digits", path) from None


def _several(value: object, path: Path) -> tuple[Value, ...]:
    if not isinstance(value, list) or not 1 <= len(cast("list[object]", value)) <= MAX_VALUES:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with a list of 1 to {MAX_VALUES:,} values", path)
    return tuple(_single(one, (*path, str(n))) for n, one in enumerate(cast("list[object]", value)))


def _moment(value: object, path: Path) -> int:
    at = microseconds(value) if isinstance(value, str) else None
    if at is None:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} compares with an ISO 8601 date such as 2026-03-01", path)
    return at


def _days(value: object, path: Path) -> int:
    """Microseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_DAYS:
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} is a number of days above 0, {MAX_DAYS:,} at most", path)
    return round(value * DAY)


def _flag(value: object, path: Path) -> bool:
    if not isinstance(value, bool):
        raise InvalidRule("TYPE_MISMATCH", f"{path[-1]} is true or false", path)
    return value


_OPERANDS: Mapping[str, Callable[[object, Path], Any]] = {
    "equals": _single,
    "notEquals": _single,
    "in": _several,
    "contains": _single,
    "startsWith": _words,
    "atLeast": _number,
    "atMost": _number,
    "greaterThan": _number,
    "lessThan": _number,
    "exists": _flag,
    "before": _moment,
    "after": _moment,
    "withinDays": _days,
}
OF_DATES = frozenset({"before", "after", "withinDays"})
_OF_TEXTS = frozenset({"equals", "notEquals", "in", "contains", "startsWith"})
_OF_NUMBERS = frozenset({"atLeast", "atMost", "greaterThan", "lessThan"})


# --- What a rule is about


@dataclass(frozen=True, slots=True)
class Condition:
    """How one condition came out for a profile: where it is in the rule, in words, and what the profile has."""

    path: Path
    words: str
    holds: bool
    actual: Any


@dataclass(frozen=True)
class Definitions:
    """Rules by segment, and the rules that say what a class of namespaces is."""

    rules: Mapping[str, Rule]
    graph: Rules = field(default_factory=Rules)

    def named(self, leaf: InSegment) -> Rule:
        return self.rules[leaf.name]

    def depends(self, rule: Rule) -> frozenset[str]:
        """The names of the facts that can change whether a profile satisfies the rule."""
        found: set[str] = set()
        for leaf in self._whole(rule):
            match leaf:
                case TraitIs(name, tests):
                    found.update(DATE + name if t.operator in OF_DATES else TRAIT + name for t in tests)
                    if name in OF_EVENTS:
                        found.update((EVENTS, f"{EVENTS}:{OF_EVENTS[name]}", TRAIT + name))
                    elif name in AGGREGATES:
                        found.update((SEEN, TRAIT + name))
                case HasIdentifiers():
                    found.add(IDENTIFIERS)
                case Seen():
                    found.add(SEEN)
                case Happened(type):
                    found.update((EVENTS, f"{EVENTS}:{type}"))
                case InSegment() | AggregateIs():
                    pass
        return frozenset(found)

    def timed(self, rule: Rule) -> bool:
        """Whether time alone can change it."""
        return any(
            leaf.within is not None
            if isinstance(leaf, Happened)
            else isinstance(leaf, TraitIs | Seen) and any(test.operator == "withinDays" for test in leaf.tests)
            for leaf in self._whole(rule)
        )

    def steady(self, rule: Rule) -> tuple[Rule, ...]:
        """What must hold for the rule to hold, of what time alone does not change."""
        return tuple(part for part in parts_of(rule) if not self.timed(part))

    def counted(self, rule: Rule) -> Iterator[Happened]:
        """The conditions on events of a number of days."""
        return (leaf for leaf in self._whole(rule) if isinstance(leaf, Happened) and leaf.within is not None)

    def tallied(self, rule: Rule) -> Iterator[str]:
        """The types of events whose totals it is about."""
        for leaf in self._whole(rule):
            if isinstance(leaf, Happened) and leaf.within is None:
                yield leaf.type
            elif isinstance(leaf, TraitIs) and leaf.name in OF_EVENTS:
                yield OF_EVENTS[leaf.name]

    def _whole(self, rule: Rule) -> Iterator[Leaf]:
        for leaf in leaves(rule):
            yield leaf
            if isinstance(leaf, InSegment):
                yield from self._whole(self.named(leaf))
            elif isinstance(leaf, AggregateIs):
                yield from self._whole(leaf.means)

    def dependents(self, name: str) -> list[str]:
        """The other segments whose rules name this one, directly or by others."""
        return [
            other
            for other, rule in self.rules.items()
            if other != name and any(isinstance(leaf, InSegment) and leaf.name == name for leaf in self._whole(rule))
        ]

    def check(self, name: str | None, rule: Rule) -> None:
        """Raises :class:`InvalidRule` where the rule names a segment that is not there or that leads back to ``name``,
        or becomes too large by what it names."""
        many = 0
        for path, leaf in located(rule):
            stack: list[Leaf] = [leaf]
            while stack:
                one = stack.pop()
                many += sum(1 for _ in leaves(one.means)) if isinstance(one, AggregateIs) else 1
                if many > MAX_CONDITIONS:
                    message = f"with the segments that it names, a rule has at most {MAX_CONDITIONS} conditions"
                    raise InvalidRule("RULE_TOO_LARGE", message, path)
                if not isinstance(one, InSegment):
                    continue
                if one.name == name:
                    message = f"the segment {name} cannot depend on itself, not by way of others either"
                    raise InvalidRule("SEGMENT_CYCLE", message, (*path, "segment", "name"))
                if one.name not in self.rules:
                    message = f"there is no segment {one.name}{near(one.name, sorted(self.rules))}"
                    raise InvalidRule("UNKNOWN_SEGMENT", message, (*path, "segment", "name"))
                stack.extend(leaves(self.rules[one.name]))

    # --- Whether one profile satisfies it

    def holds(self, rule: Rule, facts: Facts, at: int) -> bool:
        """Whether a profile satisfies the rule at a moment, in microseconds since 1970."""
        match rule:
            case AllOf(parts):
                return all(self.holds(part, facts, at) for part in parts)
            case AnyOf(parts):
                return any(self.holds(part, facts, at) for part in parts)
            case Not(part):
                return not self.holds(part, facts, at)
            case TraitIs(name, tests):
                return all(_trait_passes(test, name, facts, at) for test in tests)
            case HasIdentifiers():
                return _lies(self.count(rule, facts), rule.least, rule.most)
            case Seen(tests):
                return all(_date_passes(test, facts.last_seen, at, future=True) for test in tests)
            case Happened():
                many, sum = _events_of(rule, facts, at)
                return _lies(many, rule.least, rule.most) and _lies(sum, rule.sum_least, rule.sum_most)
            case AggregateIs():
                return self.holds(rule.means, facts, at)
            case InSegment():
                return self.holds(self.named(rule), facts, at)

    def count(self, leaf: HasIdentifiers, facts: Facts) -> int:
        if leaf.cls is None and leaf.namespace is None:
            return sum(facts.namespaces.values())
        return sum(many for name, many in facts.namespaces.items() if self.is_of(leaf, name))

    def is_of(self, leaf: HasIdentifiers, namespace: str) -> bool:
        if leaf.cls is None:
            return leaf.namespace in (None, namespace)
        return self.graph.rule(namespace).cls is leaf.cls

    def explain(self, rule: Rule, facts: Facts, at: int, path: Path = ("rule",)) -> "Iterator[Condition]":
        """How a rule and each condition in it came out for a profile; a group comes before its parts."""

        def told(words: str, actual: Any = None) -> Condition:
            return Condition(path, words, self.holds(rule, facts, at), actual)

        match rule:
            case AllOf(parts) | AnyOf(parts):
                kind = "all" if isinstance(rule, AllOf) else "any"
                yield told(f"{kind} of {len(parts)}")
                for n, part in enumerate(parts):
                    yield from self.explain(part, facts, at, (*path, kind, str(n)))
            case Not(part):
                yield told("not")
                yield from self.explain(part, facts, at, (*path, "not"))
            case TraitIs(name, tests):
                yield told(f"{name} {_words_of(tests)}", facts.told(name))
            case AggregateIs(name, of, tests, some):
                yield told(f"{name} {_words_of(tests)}", of.value(*_events_of(some, facts, at)))
            case HasIdentifiers():
                which = rule.namespace or (f"of class {rule.cls}" if rule.cls else "of any namespace")
                yield told(f"identifiers {which}: {_range(rule.least, rule.most)}", self.count(rule, facts))
            case Seen(tests):
                yield told(f"last seen {_words_of(tests)}", as_date(facts.last_seen))
            case Happened(type, least, most, within):
                days = "" if within is None else f" within {within / DAY:g} days"
                many, sum = _events_of(rule, facts, at)
                actual = {"count": many, "sum": sum / UNIT} if rule.sums else many
                yield told(f"events {type}{days}: {_range(least, most)}{_sum_range(rule)}", actual)
            case InSegment(name):
                yield told(f"in segment {name}")
                yield from self.explain(self.named(rule), facts, at, (*path, "segment", name))

    def flips(self, rule: Rule, facts: Facts, at: int) -> int | None:
        """The next moment at which time alone changes whether the profile satisfies the rule; None for never."""
        now = self.holds(rule, facts, at)
        moments = {moment for leaf in self._whole(rule) for moment in _turns(leaf, facts) if moment > at}
        return next((moment for moment in sorted(moments) if self.holds(rule, facts, moment) is not now), None)


def _lies(number: int, least: int | None, most: int | None) -> bool:
    return (least is None or least <= number) and (most is None or number <= most)


def _range(least: int, most: int | None) -> str:
    return f"{least} at least" + ("" if most is None else f", {most} at most")


def _sum_range(leaf: Happened) -> str:
    bounds = ((leaf.sum_least, "at least"), (leaf.sum_most, "at most"))
    said = ", ".join(f"{bound / UNIT:.15g} {which}" for bound, which in bounds if bound is not None)
    return said and f", sum {said}"


def _events_of(leaf: Happened, facts: Facts, at: int) -> tuple[int, int]:
    """How many there are, and the sum of their amounts."""
    if leaf.within is None:
        totals = [total for total in facts.aggregates.totals if leaf.type in (total.type, EVERY_TYPE)]
        return sum(total.count for total in totals), sum(total.amount for total in totals)
    return facts.recent.get(leaf.type, NONE_RECENT).since(at - leaf.within)


def _words_of(tests: Sequence[Test]) -> str:
    return " and ".join(f"{test.operator} {_operand(test)}" for test in tests)


def _operand(test: Test) -> str:
    match test.operator:
        case "before" | "after":
            return as_date(test.operand)
        case "withinDays":
            return f"{test.operand / DAY:g}"
        case "in":
            return json.dumps(list(test.operand), ensure_ascii=False)
        case _:
            return json.dumps(test.operand, ensure_ascii=False)


def _turns(leaf: Leaf, facts: Facts) -> Iterator[int]:
    """The moments at which a condition may turn."""
    match leaf:
        case TraitIs(name, tests):
            since = facts.date(name)
        case Seen(tests):
            since = facts.last_seen
        case Happened(type, _, _, within) if within is not None:
            moments = facts.recent.get(type, NONE_RECENT).moments
            yield from (moment + within + 1 for moment in (moments if leaf.sums else moments[: leaf.enough]))
            return
        case _:
            return
    for test in tests:
        if test.operator == "withinDays" and since is not None:
            yield from (since, since + test.operand + 1)


def _trait_passes(test: Test, name: str, facts: Facts, at: int) -> bool:
    if test.operator in OF_DATES:
        date = facts.date(name)
        return date is not None and _date_passes(test, date, at, future=False)
    value, operand = facts.value(name), test.operand
    if test.operator == "exists":
        return (value is not None or facts.told(name) is not None) is operand
    if value is None:
        return False
    match test.operator:
        case "equals":
            return _same(value, operand)
        case "notEquals":
            return not _same(value, operand)
        case "in":
            return any(_same(value, one) for one in operand)
        case "contains":
            within = isinstance(value, str) and isinstance(operand, str) and operand in value
            values = cast("list[Any]", value) if isinstance(value, list) else [value]
            return within or any(_same(one, operand) for one in values)
        case "startsWith":
            return isinstance(value, str) and value.startswith(operand)
        case _:
            return isinstance(value, float) and _compares(test.operator, value, operand)


def _same(value: Any, other: Value) -> bool:
    """True and 1 are equal in Python and different in JSON."""
    return type(value) is type(other) and value == other


def _compares(operator: str, value: float, operand: float) -> bool:
    match operator:
        case "atLeast":
            return value >= operand
        case "atMost":
            return value <= operand
        case "greaterThan":
            return value > operand
        case _:
            return value < operand


def _date_passes(test: Test, date: int, at: int, *, future: bool) -> bool:
    """``future``: whether a date to come counts as within the last days; a device's clock may be ahead."""
    match test.operator:
        case "before":
            return date < test.operand
        case "after":
            return date > test.operand
        case _:
            return date >= at - test.operand and (future or date <= at)


# --- Whether it makes sense for the traits that there are


def misfits(rule: Rule, types: Mapping[str, frozenset[TraitType]]) -> list[InvalidRule]:
    """What a rule asks of traits that they cannot answer: one that nobody has (``UNKNOWN_TRAIT``), or an operator for
    which all its values are of the wrong type (``TYPE_MISMATCH``). ``types`` are those of all known traits, to which
    aggregates are added here."""
    found = list(unfit(rule))
    of_any = {name: types.get(name, frozenset()) | {type} for name, type in AGGREGATES.items()}
    all_types = {**types, **of_any}
    for path, leaf in located(rule):
        if not isinstance(leaf, TraitIs):
            continue
        here = (*path, "trait")
        known = all_types.get(leaf.name)
        if known is None:
            message = f"nobody has a trait {leaf.name} yet{near(leaf.name, sorted(all_types))}"
            found.append(InvalidRule(UNKNOWN, message, (*here, "name")))
            continue
        for test in leaf.tests:
            # An aggregate that is a moment is no text that could be compared, but what sources say in its place is.
            is_moment = AGGREGATES.get(leaf.name) is TraitType.DATE and leaf.name not in types
            wanted = _TEXTS if is_moment and test.operator in _OF_TEXTS else _fitting(test)
            if wanted and not wanted & known:
                kinds, fit = (" or ".join(sorted(one)) for one in (known, wanted))
                message = f"{test.operator} is for {fit}, but {leaf.name} is {kinds}"
                found.append(InvalidRule("TYPE_MISMATCH", message, (*here, test.operator)))
    return found


def unfit(rule: Rule) -> Iterator[InvalidRule]:
    """What a rule asks of declared aggregates that no number answers, or that would take too many events to know."""
    for path, leaf in located(rule):
        if isinstance(leaf, AggregateIs):
            yield from _unfit(leaf, (*path, "trait"))


def _unfit(leaf: AggregateIs, path: Path) -> Iterator[InvalidRule]:
    within = leaf.of.days is not None
    most = MAX_SUM if leaf.of.what is What.SUM else MAX_EVENTS if within else MAX_SIZE
    for test in leaf.tests:
        if test.operator == "exists":
            continue
        here = (*path, test.operator)
        if test.operator not in _TO_RANGE and test.operator != "notEquals":
            fit = " or ".join(sorted(_fitting(test) or (TraitType.LIST, TraitType.TEXT)))
            yield InvalidRule("TYPE_MISMATCH", f"{test.operator} is for {fit}, but {leaf.name} is NUMBER", here)
            continue
        values = test.operand if isinstance(test.operand, tuple) else (test.operand,)
        if not all(isinstance(one, float) and abs(one) <= most for one in values):
            what = f"{leaf.of.what} of {leaf.of.days} days" if within else leaf.of.what
            message = f"{leaf.name} is a {what}, so {test.operator} compares with a number up to {most:,}"
            yield InvalidRule("TYPE_MISMATCH", message, here)


_TEXTS = frozenset({TraitType.TEXT})


def _fitting(test: Test) -> frozenset[TraitType]:
    """The types that an operator can be true for; none where it can for all."""
    if test.operator in OF_DATES:
        return frozenset({TraitType.DATE})
    if test.operator in _OF_NUMBERS:
        return frozenset({TraitType.NUMBER})
    if test.operator == "startsWith":
        return frozenset({TraitType.TEXT, TraitType.DATE})
    return frozenset()
