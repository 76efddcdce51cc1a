"""Cleaning: how a trait's raw values become values that can be compared, as its rule says.

Records keep what was sent. A step that cannot do anything with a value leaves it as it is, so nothing is ever lost; a
list is cleaned value by value.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, cast

import phonenumbers
import pycountry


class Step(StrEnum):
    """One step of cleaning."""

    TRIM = "trim"
    LOWER = "lower"
    UPPER = "upper"
    TITLE = "title"
    PHONE = "phone"
    POSTCODE = "postcode"
    COUNTRY = "country"


#: Units by what they measure, each as how many of the first of them.
UNITS: tuple[Mapping[str, float], ...] = (
    {"kg": 1, "g": 1e-3, "lb": 0.45359237, "oz": 0.028349523125},
    {"m": 1, "cm": 1e-2, "mm": 1e-3, "km": 1e3, "in": 0.0254, "ft": 0.3048, "mi": 1609.344},
    {"l": 1, "ml": 1e-3},
)
#: Longest text that is matched with patterns: how long that may take was judged for this length.
MAX_MATCHED = 512
_QUANTITY = re.compile(r"([+-]?\d{1,15}(?:[.,]\d{1,9})?)\s?([a-z]{1,3})", re.IGNORECASE)


def convert(text: str, unit: str) -> float | None:
    """``"5 lb"`` in kilograms; None where it is no quantity of that kind. A comma counts as the decimal point."""
    found = _QUANTITY.fullmatch(text.strip())
    if not found:
        return None
    number, own = float(found[1].replace(",", ".")), found[2].lower()
    kind = next((units for units in UNITS if unit in units and own in units), None)
    return None if kind is None else round(number * kind[own] / kind[unit], 9)


def clean(
    value: Any,
    steps: tuple[Step, ...],
    patterns: tuple[tuple[str, str], ...],
    values: Mapping[str, str],
    unit: str | None,
    region: str | None,
) -> Any:
    """A value after all steps, rewritten by the first of ``patterns`` that matches the whole of it, replaced by what
    ``values`` has for it, without case, and then in that unit."""
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
    return text if quantity is None else quantity


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
        for field in ("alpha_2", "alpha_3", "name", "official_name", "common_name"):
            name = getattr(country, field, None)
            if name:
                found[name.casefold()] = country.alpha_2
    return found


def _country(text: str) -> str | None:
    return _countries().get(text.casefold())
