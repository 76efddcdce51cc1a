"""What cleaning makes of values, and that it never loses one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.cleaning import Step, clean
from identity_graph.domain.rules import Survivorship, TraitRule
from identity_graph.domain.survivorship import Traits, golden_record


def cleaned(value: Any, *steps: str, region: str | None = None, unit: str | None = None, **values: str) -> Any:
    return clean(value, tuple(map(Step, steps)), ((r"(\d+) pts", r"\1 points"),), values, unit, region)


@pytest.mark.parametrize(
    ("raw", "steps", "expected"),
    [
        ("  Den \t Haag ", ["trim"], "Den Haag"),
        ("ÉÉN", ["lower"], "één"),
        ("den haag", ["trim", "title"], "Den Haag"),
        ("1012 ab", ["postcode"], "1012AB"),
        ("the netherlands", ["country"], "the netherlands"),
        ("netherlands", ["country"], "NL"),
        (" NLD ", ["country"], "NL"),
        ("Viet Nam", ["country"], "VN"),
        ("+31 (0)20 123 4567", ["phone"], "+31201234567"),
        ("not a number", ["phone"], "not a number"),
        (["nl", 3, "x"], ["country"], ["NL", 3, "x"]),
        (12, ["upper"], 12),
        (" 12 PTS", ["trim", "lower"], "12 points"),
        ("12 pts or so", [], "12 pts or so"),
    ],
)
def test_steps(raw: Any, steps: list[str], expected: Any) -> None:
    assert cleaned(raw, *steps) == expected


def test_a_phone_number_without_a_country_is_of_the_region() -> None:
    assert cleaned("020 123 4567", "phone", region="NL") == "+31201234567"
    assert cleaned("020 123 4567", "phone") == "020 123 4567"


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        ("5 lb", "kg", 2.26796185),
        ("1,5 KG", "g", 1500.0),
        ("6ft", "cm", 182.88),
        ("6 ft", "kg", "6 ft"),
        ("heavy", "kg", "heavy"),
        (70, "kg", 70),
    ],
)
def test_units(raw: Any, unit: str, expected: Any) -> None:
    assert cleaned(raw, unit=unit) == expected


@given(st.lists(st.sampled_from(list(Step)), unique=True, max_size=3), st.text(max_size=20))
def test_nothing_that_is_said_becomes_nothing_unless_it_is_blank(steps: list[Step], text: str) -> None:
    kept = cleaned(text, *steps)
    assert isinstance(kept, str)
    if text.strip(" -\t\n") and not text.isspace():
        assert kept or not text.replace("-", "").strip()


def test_values_are_compared_cleaned_and_told_so() -> None:
    rule = TraitRule((Survivorship.MOST_FREQUENT,), (), (Step.TRIM, Step.COUNTRY), (), {"holland": "NL"})
    said = ["Holland", "nld", "Belgium", " netherlands "]
    records = [Traits("crm", at, {"country": value}, f"r{at}") for at, value in enumerate(said)]
    (golden,) = golden_record(records, {"country": rule})
    assert (golden.chosen.value, [a.value for a in golden.alternatives]) == ("NL", ["BE"])
