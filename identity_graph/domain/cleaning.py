"""Cleaning: how a trait's raw values become values that can be compared, as its rule says.

Records keep what was sent. A step that cannot do anything with a value leaves it as it is, so nothing is ever lost; a
list is cleaned value by value.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, cast

import phonenumbers
import pycountry

from identity_graph.domain.traits import as_date, microseconds


class Step(StrEnum):
    """One step of cleaning."""

    TRIM = "trim"
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"
    PHONE = "phone"
    POSTCODE = "postcode"
    COUNTRY = "country"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


#: The steps of cleaning an identifier: those that make one text of several ways to write it.
OF_IDENTIFIERS = (Step.TRIM, Step.LOWER, Step.UPPER, Step.POSTCODE)

#: Units by what they measure, each as how many of the first of them.
UNITS: tuple[Mapping[str, float], ...] = (
    {"kg": 1, "g": 1e-3, "lb": 0.45359237, "oz": 0.028349523125},
    {"m": 1, "cm": 1e-2, "mm": 1e-3, "km": 1e3, "in": 0.0254, "ft": 0.3048, "mi": 1609.344},
    {"l": 1, "ml": 1e-3},
)
#: Longest text that is matched with patterns: how long that may take was judged for this length.
MAX_MATCHED = 512
_QUANTITY = re.compile(r"([+-]?[\d.,]{1,40})\s?([a-z]{1,3})", re.IGNORECASE)
#: A whole part, in groups of three perhaps, and a decimal part: as English writes them, and as most of Europe does.
_NUMBERS = tuple(
    (group, re.compile(rf"([+-]?(?:\d{{1,15}}|[1-9]\d{{0,2}}(?:\{group}\d{{3}}){{1,4}}))(?:\{point}(\d{{1,20}}))?"))
    for group, point in (",.", ".,")
)
#: Here the comma may stand between thousands or before decimals.
_AMBIGUOUS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def number(text: str) -> float | None:
    """``"1,234.5"``, ``"1.234,5"`` or ``"1234.5"`` as a number; None where it is none, or could be two.

    So ``"1,234"`` is None. A single point is a decimal point.
    """
    plain = text.strip()
    if _AMBIGUOUS.fullmatch(plain):
        return None
    for group, form in _NUMBERS:
        if found := form.fullmatch(plain):
            whole, decimals = found[1].replace(group, ""), found[2]
            return float(f"{whole}.{decimals}") if decimals else int(whole)
    return None


def boolean(text: str) -> bool | None:
    """``true``, ``yes`` or ``1``, and ``false``, ``no`` or ``0``, in any case; None for any other text."""
    return _BOOLEANS.get(text.strip().casefold())


def date(text: str) -> str | None:
    """An ISO 8601 date as it is, and one with a time in UTC; None for any other text."""
    plain = text.strip()
    at = microseconds(plain)
    if at is None:
        return None
    try:
        return plain if len(plain) == len("2026-03-01") else as_date(at)
    except OverflowError:
        # An offset can lead out of the years that there are.
        return None


def convert(text: str, unit: str) -> float | None:
    """``"5 lb"`` in kilograms; None where it is no quantity of that kind, or its number is none of :func:`number`."""
    found = _QUANTITY.fullmatch(text.strip())
    amount = number(found[1]) if found else None
    if found is None or amount is None:
        return None
    own = found[2].lower()
    kind = next((units for units in UNITS if unit in units and own in units), None)
    return None if kind is None else round(amount * kind[own] / kind[unit], 9)


_READERS: Mapping[Step, Callable[[str], Any]] = {Step.NUMBER: number, Step.BOOLEAN: boolean, Step.DATE: date}


def clean(
    value: Any,
    steps: tuple[Step, ...],
    patterns: tuple[tuple[str, str], ...],
    values: Mapping[str, str],
    unit: str | None,
    region: str | None,
) -> Any:
    """A value after all steps, rewritten by the first of ``patterns`` that matches the whole of it, replaced by what
    ``values`` has for it, without case, and then in that unit, or else as the first of the steps ``number``,
    ``boolean`` and ``date`` reads it that can."""
    if isinstance(value, list):
        return [clean(one, steps, patterns, values, unit, region) for one in cast("list[Any]", value)]
    if not isinstance(value, str):
        return value
    text = value
    for step in steps:
        text = _step(step, text, region)
    if len(text) <= MAX_MATCHED:
        text = next((found.expand(template) for one, template in patterns if (found := re.fullmatch(one, text))), text)
    text = values.get(text.casefold(), text)
    quantity = convert(text, unit) if unit else None
    if quantity is not None:
        return quantity
    read = (_READERS[step](text) for step in steps if step in _READERS)
    return next((value for value in read if value is not None), text)


def _step(step: Step, text: str, region: str | None) -> str:
    match step:
        case Step.TRIM:
            return " ".join(text.split())
        case Step.LOWER:
            return text.lower()
        case Step.UPPER:
            return text.upper()
        case Step.TITLE:
            return text.title()
        case Step.PHONE:
            return _phone(text, region)
        case Step.POSTCODE:
            return re.sub(r"[\s-]", "", text).upper()
        case Step.COUNTRY:
            return _country(text.strip()) or text
        case Step.NUMBER | Step.BOOLEAN | Step.DATE:
            return text  # What the steps, patterns and values leave is read last.


def _phone(text: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text
    if not phonenumbers.is_possible_number(number):
        return text
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def _countries() -> dict[str, str]:
    """Two-letter codes by every name and code that ISO 3166-1 has, without case."""
    found: dict[str, str] = {}
    for country in pycountry.countries:
        for field in ("alpha_2", "alpha_3", "numeric", "name", "official_name", "common_name"):
            name = getattr(country, field, None)
            if name:
                found[name.casefold()] = country.alpha_2
    return found


def _country(text: str) -> str | None:
    return _countries().get(text.casefold())
