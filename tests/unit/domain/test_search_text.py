"""What is searched for, whatever is typed, and what is left of a masked value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.rules import Rules
from identity_graph.domain.search import MAX_WORDS, key_prefixes, masked, words_query

RULES = Rules()


@given(st.text() | st.text('+-&|!(){}[]^"~*?:\\/ andorot ANDORNOT'))
def test_nothing_typed_is_an_operator_a_field_or_a_leading_wildcard(text: str) -> None:
    query = words_query(text) or ""
    assert re.fullmatch(r"(\+([^\W_]+|\([^\W_]+ [^\W_]+\*\))( (?!$)|$))*", query)
    assert not {"AND", "OR", "NOT", "TO"} & set(re.split(r"[\s+()]+", query))
    assert query.count("+") <= MAX_WORDS


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Ada Lovelace", "+(ada ada*) +(lovelace lovelace*)"),
        ("  Zoë-Ann ", "+(zoë zoe*) +(ann ann*)"),
        ("ada@example.com", "+(ada ada*) +(example example*) +(com com*)"),
        ("a", "+a"),
        ("*?~", None),
        ("_", None),
    ],
)
def test_every_word_counts_also_as_the_beginning_of_one(text: str, query: str | None) -> None:
    assert words_query(text) == query


def test_a_text_may_be_the_beginning_of_an_identifier_of_any_namespace() -> None:
    found = key_prefixes(" ADA@Example.com", RULES)
    assert {"email:ada@example.com", "user_id:ADA@Example.com"} <= set(found)
    assert "phone:+31612345678" in key_prefixes("+31 6 1234 5678", RULES)
    assert "badge:17" in key_prefixes("badge:17", RULES)
    assert "badge 1:17" not in key_prefixes("badge 1:17", RULES)
    assert key_prefixes("ad", RULES) == []
    assert len(key_prefixes("null", RULES)) <= 2 * len(RULES.namespaces)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ada@example.org", "a***@e***.org"),
        ("ada@localhost", "a***"),
        ("Ada Lovelace", "A*** L***"),
        ("+31612345678", "+***"),
        ("@", "@***"),
        ("@ Lovelace", "@*** L***"),
        ("", ""),
    ],
)
def test_of_a_masked_value_only_beginnings_are_left(value: str, shown: str) -> None:
    assert masked(value) == shown


@given(st.text(min_size=3))
def test_a_masked_word_shows_one_letter(value: str) -> None:
    assert all(len(word) <= 4 for word in masked(value).split() if "." not in word)
