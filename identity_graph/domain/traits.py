"""Traits: what a JSON value is, and the plain values of a golden record as the graph keeps them to be searched by.

A profile in the graph has a property ``trait:NAME`` for each trait of its golden record, and beside it, where the value
is a date, ``date:NAME`` in microseconds since 1970. Segments are rules over exactly these.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import orjson

TRAIT, DATE = "trait:", "date:"

#: Traits of other names stay in their records: a name becomes part of a query, where only these are safe.
NAME = re.compile(r"[A-Za-z0-9_.\- ]{1,64}")
#: Objects within objects that are taken apart, counting the trait itself; what is deeper is kept as JSON text.
DEPTH = 4
#: Longest searchable text in characters: an index entry of Neo4j holds some 8,000 bytes, a character up to four.
MAX_TEXT = 2_000
#: The same bound for a whole list, with what each value needs beside its text, and the most values.
MAX_LIST, MAX_VALUES = 7_000, 100

#: Characters of an example.
MAX_SHAPE = 40

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)

Plain = str | float | bool | list[str] | list[float] | list[bool]
"""A value as a property: a number is a float, as JSON knows but one kind; the values of a list are of one type."""


class TraitType(StrEnum):
    """What a value is."""

    TEXT = "TEXT"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    DATE = "DATE"
    LIST = "LIST"
    OBJECT = "OBJECT"


def says_nothing(value: Any) -> bool:
    """Null and blank texts never win over another value."""
    return value is None or (isinstance(value, str) and not value.strip())


def type_of(value: Any) -> TraitType:
    match value:
        case bool():
            return TraitType.BOOLEAN
        case int() | float():
            return TraitType.NUMBER
        case str():
            return TraitType.TEXT if microseconds(value) is None else TraitType.DATE
        case list():
            return TraitType.LIST
        case _:
            return TraitType.OBJECT


def microseconds(text: str) -> int | None:
    """An ISO 8601 date, with or without a time, in microseconds since 1970; None for any other text.

    A time without an offset is UTC, and a date is its first moment.
    """
    if not text[:1].isdigit() or not _DATE.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def as_date(at: int) -> str:
    """The inverse of :func:`microseconds`, with a time in UTC."""
    # Without a zone, which would be written and replaced again: in half of the time.
    return f"{(_NAIVE_EPOCH + at * _MICROSECOND).isoformat()}Z"


def properties(golden: Mapping[str, Any]) -> dict[str, Plain | int]:
    """The properties of a profile for the values of its golden record.

    An object is taken apart, ``{"address": {"city": "Delft"}}`` is ``address.city``; a trait that has such a name
    itself goes before. A list of values of several types, or of lists or objects, is kept as JSON text, without what
    says nothing in it. Texts are one line: control characters become blanks.
    """
    found: dict[str, Plain | int] = {}
    nested: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in golden.items():
        if isinstance(value, dict):
            nested.append((name, cast("Mapping[str, Any]", value)))
        else:
            _put(found, name, value)
    for name, value in sorted(nested):
        for path, leaf in _leaves(name, value, DEPTH - 1):
            if TRAIT + path not in found:
                _put(found, path, leaf)
    return found


def typed(values: Mapping[str, Any]) -> Iterator[tuple[str, TraitType, Any]]:
    """The searchable parts of traits: path, type and value, objects taken apart as for :func:`properties`."""
    for name, value in values.items():
        if isinstance(value, dict):
            for path, leaf in _leaves(name, cast("Mapping[str, Any]", value), DEPTH - 1):
                yield path, type_of(leaf), leaf
        elif not says_nothing(value):
            yield name, type_of(value), value


def masked(value: Any) -> str:
    """The shape of a value, without what it says: ``Ada-42`` becomes ``Xxx-99``."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return "".join(_shape(character) for character in text[:MAX_SHAPE])


def _shape(character: str) -> str:
    if character.isalpha():
        return "x" if character.islower() else "X"
    return "9" if character.isnumeric() else character


def _put(found: dict[str, Plain | int], name: str, value: Any) -> None:
    if not NAME.fullmatch(name):
        return
    plain = _plain(value)
    if plain is None:
        return
    found[TRAIT + name] = plain
    if isinstance(value, str):
        at = microseconds(value)
        if at is not None:
            found[DATE + name] = at


def _leaves(name: str, value: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for key, inner in sorted(value.items()):
        path = f"{name}.{key}"
        if isinstance(inner, dict) and depth > 1:
            yield from _leaves(path, cast("Mapping[str, Any]", inner), depth - 1)
        elif not says_nothing(inner):
            yield path, inner


def _plain(value: Any) -> Plain | None:
    match value:
        case bool():
            return value
        case str():
            return one_line(value)
        case int() | float():
            # Adding zero makes one zero of two.
            return float(value) + 0.0
        case list():
            return _list(cast("list[Any]", value))
        case _:
            return _json(value)


def one_line(text: str) -> str:
    return _CONTROL.sub(" ", text[:MAX_TEXT])


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()[:MAX_TEXT]


def _list(values: list[Any]) -> Plain | None:
    said = [v for v in values if not says_nothing(v)]
    if not said:
        return None
    kinds = {float if isinstance(v, int | float) and not isinstance(v, bool) else type(v) for v in said}
    if len(kinds) > 1 or not kinds <= {str, float, bool}:
        return _json(said)
    kept: list[Any] = []
    room = MAX_LIST
    for value in said[:MAX_VALUES]:
        plain = _plain(value)
        room -= 10 + (len(plain.encode()) if isinstance(plain, str) else 0)
        if room < 0:
            break
        kept.append(plain)
    return kept or None
