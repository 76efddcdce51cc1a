"""What JSON values are, and how the graph keeps them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.traits import MAX_LIST, MAX_TEXT, TraitType, properties, type_of

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc. é", max_size=8), JSON, max_size=4))
def test_any_traits_become_properties_that_neo4j_can_store_and_index(golden: dict[str, Any]) -> None:
    for name, value in properties(golden).items():
        assert name.isascii()
        assert len(name) <= len("trait:") + 64
        values = value if isinstance(value, list) else [value]
        assert values
        assert len({type(v) for v in values}) == 1
        assert isinstance(values[0], str | float | bool | int)
        texts = [v for v in values if isinstance(v, str)]
        assert all(v.isprintable() or not any(c < " " for c in v) for v in texts)
        assert sum(len(v.encode()) for v in texts) <= max(MAX_LIST, 4 * MAX_TEXT)


def test_values_as_properties() -> None:
    golden = {
        "city": "Delft",
        "spent": 12,
        "pro": True,
        "born": "1990-12-10",
        "seen": "2026-03-01T12:00:00+02:00",
        "tags": ["a", None, "b"],
        "mixed": [1, "a"],
        "address": {"city": "Den Haag", "geo": {"lat": 52.1}, "lines": ["x", "y"]},
        "address.city": "Rijswijk",
        "note": "two\nlines",
        "naïve": 1,
        "nothing": [None, ""],
    }
    assert properties(golden) == {
        "trait:city": "Delft",
        "trait:spent": 12.0,
        "trait:pro": True,
        "trait:born": "1990-12-10",
        "date:born": 660_787_200_000_000,
        "trait:seen": "2026-03-01T12:00:00+02:00",
        "date:seen": 1_772_359_200_000_000,
        "trait:tags": ["a", "b"],
        "trait:mixed": '[1,"a"]',
        "trait:address.geo.lat": 52.1,
        "trait:address.lines": ["x", "y"],
        "trait:address.city": "Rijswijk",
        "trait:note": "two lines",
    }


def test_what_is_too_long_is_cut_and_what_is_too_deep_is_json() -> None:
    deep: dict[str, Any] = {"b": {"c": {"d": {"e": 1}}}}
    found = properties({"text": "x" * 9000, "list": ["é" * 1000] * 9, "a": deep})
    assert found == {
        "trait:text": "x" * MAX_TEXT,
        "trait:list": ["é" * 1000] * 3,
        "trait:a.b.c.d": '{"e":1}',
    }


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "BOOLEAN"),
        (1, "NUMBER"),
        (1.5, "NUMBER"),
        ("1990-12-10", "DATE"),
        ("2026-03-01T10:00:00.5Z", "DATE"),
        ("2026-13-01", "TEXT"),
        ("1990", "TEXT"),
        ("19901210", "TEXT"),
        ([1], "LIST"),
        ({}, "OBJECT"),
    ],
)
def test_types(value: Any, kind: str) -> None:
    assert type_of(value) is TraitType(kind)
