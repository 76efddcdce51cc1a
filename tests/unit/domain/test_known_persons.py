"""Whose records are, from the identifiers of unique namespaces that they carry."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.matches import known_persons

KEYS = st.sampled_from([f"{namespace}:{value}" for namespace in ("crm_id", "user_id") for value in "123"])
CARRIED = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(KEYS, max_size=2, unique=True), max_size=8)


def groups(told: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(r for r, person in told.items() if person == one) for one in told.values()}


@pytest.mark.parametrize(
    ("carried", "wanted"),
    [
        ({"a": ["user_id:1"], "b": ["user_id:1"], "c": ["user_id:2"], "d": []}, [{"a", "b"}, {"c"}]),
        ({"a": ["user_id:1"], "b": ["crm_id:1", "user_id:1"], "c": ["crm_id:1"]}, [{"a", "b", "c"}]),
        ({"a": ["user_id:1", "user_id:2"], "b": ["user_id:1"], "c": ["user_id:3"]}, [{"c"}]),
        ({"a": ["crm_id:1", "user_id:1"], "b": ["crm_id:1", "user_id:2"]}, []),
    ],
    ids=["one shared", "through another", "two at once", "two through another"],
)
def test_records_of_one_person_are_told(carried: dict[str, list[str]], wanted: list[set[str]]) -> None:
    assert groups(known_persons(carried)) == {frozenset(group) for group in wanted}


@given(CARRIED, st.randoms(use_true_random=False))
def test_no_order_matters_and_nobody_has_two_identifiers_of_a_namespace(
    carried: dict[str, list[str]], rng: Random
) -> None:
    told = known_persons(carried)
    shuffled = [(record, rng.sample(keys, len(keys))) for record, keys in carried.items()]
    rng.shuffle(shuffled)
    assert known_persons(dict(shuffled)) == told
    for group in groups(told):
        keys = {key for record in group for key in carried[record]}
        assert len({key.split(":")[0] for key in keys}) == len(keys)
