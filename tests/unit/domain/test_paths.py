"""Confidence against its definition: the best of all simple paths, each as strong as its weakest link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.paths import CERTAIN, confidence, match_probability

Links = list[tuple[str, str, float | None]]
LINKS: st.SearchStrategy[Links] = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), st.none() | st.integers(-3, 6).map(float)), max_size=8
)


def best(links: Links, start: str, goal: str, seen: frozenset[str] = frozenset()) -> float:
    if start == goal:
        return CERTAIN
    strengths = [0.0]
    for a, b, weight in links:
        for one, other in ((a, b), (b, a)):
            if one == start and other not in seen | {start}:
                strength = CERTAIN if weight is None else match_probability(weight)
                strengths.append(min(strength, best(links, other, goal, seen | {start})))
    return max(strengths)


@given(LINKS)
def test_the_strongest_path_counts(links: Links) -> None:
    found = confidence(links, "a")
    assert {key: found.get(key, 0.0) for key in "abcde"} == {key: best(links, "a", key) for key in "abcde"}


@pytest.mark.parametrize(("weight", "probability"), [(0.0, 0.5), (1.0, 2 / 3), (3.0, 8 / 9), (-1.0, 1 / 3)])
def test_a_match_weight_is_the_log2_of_the_odds(weight: float, probability: float) -> None:
    assert match_probability(weight) == pytest.approx(probability)


@given(st.floats(allow_nan=False))
def test_every_weight_has_a_probability(weight: float) -> None:
    assert 0.0 <= match_probability(weight) <= 1.0
