"""What cleaning makes of values, and that it never loses one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.cleaning import Step, clean
from identity_graph.domain.rules import Rules, Survivorship, TraitRule
from identity_graph.domain.survivorship import Traits, golden_record, golden_values
from identity_graph.services.catalogue import NOTHING_KNOWN, new_entries

AS_NUMBER = TraitRule(clean=(Step.NUMBER,))


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
        ("528", ["country"], "NL"),
        (["nl", 3, "x"], ["country"], ["NL", 3, "x"]),
        (12, ["upper"], 12),
        (" 12 PTS", ["trim", "lower"], "12 points"),
        ("12 pts or so", [], "12 pts or so"),
    ],
)
def test_steps(raw: Any, steps: list[str], expected: Any) -> None:
    assert cleaned(raw, *steps) == expected


@pytest.mark.parametrize(
    ("raw", "step", "expected"),
    [
        ("12.50", "number", 12.5),
        (" -7 ", "number", -7),
        ("12,5", "number", 12.5),
        ("0,125", "number", 0.125),
        ("1.234", "number", 1.234),
        ("1,234.5", "number", 1234.5),
        ("1.234,5", "number", 1234.5),
        ("1,234,567", "number", 1234567),
        ("1,234", "number", "1,234"),
        ("1,23,456", "number", "1,23,456"),
        ("1.2.3", "number", "1.2.3"),
        ("twelve", "number", "twelve"),
        (["1", "x", 2], "number", [1, "x", 2]),
        ("Yes", "boolean", True),
        ("1", "boolean", True),
        (" FALSE", "boolean", False),
        ("0", "boolean", False),
        ("maybe", "boolean", "maybe"),
        (" 2026-03-01 ", "date", "2026-03-01"),
        ("2026-03-01 10:30", "date", "2026-03-01T10:30:00Z"),
        ("2026-03-01T10:30:00+01:00", "date", "2026-03-01T09:30:00Z"),
        ("0001-01-01T00:00+23:00", "date", "0001-01-01T00:00+23:00"),
        ("01/03/2026", "date", "01/03/2026"),
    ],
)
def test_texts_are_read_as_what_they_say(raw: Any, step: str, expected: Any) -> None:
    # True and 1 are equal in Python and different in JSON.
    assert repr(cleaned(raw, step)) == repr(expected)


def test_values_are_read_last_by_the_first_step_that_can() -> None:
    assert cleaned("Ja", "boolean", ja="yes") is True
    assert clean("12 pts", (Step.NUMBER,), ((r"(\d+) pts", r"\1"),), {}, None, None) == 12
    assert [cleaned("1", "boolean", "number"), cleaned("2", "boolean", "number")] == [True, 2]
    assert [cleaned(raw, "number", unit="kg") for raw in ("5 g", "5")] == [0.005, 5]


@given(st.integers(-(10**14), 10**14), st.integers(0, 99))
def test_a_number_is_the_same_however_it_is_written(whole: int, hundredths: int) -> None:
    english = f"{whole:,}.{hundredths:02}"
    european = english.translate({ord(","): ".", ord("."): ","})
    plain = f"{whole}.{hundredths:02}"
    assert cleaned(english, "number") == cleaned(european, "number") == cleaned(plain, "number") == float(plain)


def test_a_phone_number_without_a_country_is_of_the_region() -> None:
    assert cleaned("020 123 4567", "phone", region="NL") == "+31201234567"
    assert cleaned("020 123 4567", "phone") == "020 123 4567"


@pytest.mark.parametrize(
    ("raw", "unit", "expected"),
    [
        ("5 lb", "kg", 2.26796185),
        ("1,234.5 g", "kg", 1.2345),
        ("1.234.567 g", "kg", 1234.567),
        ("1,234 g", "kg", "1,234 g"),
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
    assert isinstance(kept, str | int | float)
    if text.strip(" -\t\n") and not text.isspace():
        assert kept != "" or not text.replace("-", "").strip()


def test_values_are_compared_cleaned_and_told_so() -> None:
    rule = TraitRule((Survivorship.MOST_FREQUENT,), (), (Step.TRIM, Step.COUNTRY), (), {"holland": "NL"})
    said = ["Holland", "nld", "Belgium", " netherlands "]
    records = [Traits("crm", at, {"country": value}, f"r{at}") for at, value in enumerate(said)]
    (golden,) = golden_record(records, {"country": rule})
    assert (golden.chosen.value, [a.value for a in golden.alternatives]) == ("NL", ["BE"])


def test_parts_of_a_trait_are_cleaned_by_rules_of_their_paths() -> None:
    rules = {"address.country": TraitRule(clean=(Step.COUNTRY,)), "a.b.c": TraitRule(clean=(Step.UPPER,))}
    said = {"address": {"country": "nld", "city": "nld"}, "address.country": "Belgium", "country": "nld"}
    shown = {"address": {"country": "NL", "city": "nld"}, "address.country": "BE", "country": "nld"}
    deep = {"a": {"b": {"c": "x", "d": "x"}, "b.c": "x"}}
    assert golden_values([Traits("crm", 1, said)], rules) == shown
    assert {one.name: one.chosen.value for one in golden_record([Traits("crm", 1, said)], rules)} == shown
    assert golden_values([Traits("crm", 1, deep)], rules) == {"a": {"b": {"c": "X", "d": "x"}, "b.c": "X"}}
    entries = new_entries(NOTHING_KNOWN, [("crm", {"age": {"years": "7"}})], Rules(traits={"age.years": AS_NUMBER}))
    assert list(entries) == [("crm", "age.years", "NUMBER")]
