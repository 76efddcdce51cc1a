"""Pairwise and B³ against their definitions."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.evaluate import b_cubed, pairwise

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=14)


@given(LABELS)
def test_equal_the_definitions(labels: list[tuple[int, int]]):
    clusters = {str(i): c for i, (c, _) in enumerate(labels)}
    entities = {str(i): e for i, (_, e) in enumerate(labels)}
    claimed = {p for p in combinations(clusters, 2) if clusters[p[0]] == clusters[p[1]]}
    true = {p for p in combinations(entities, 2) if entities[p[0]] == entities[p[1]]}
    found = pairwise(clusters, entities)
    assert found.precision == pytest.approx(len(claimed & true) / len(claimed) if claimed else 1)
    assert found.recall == pytest.approx(len(claimed & true) / len(true) if true else 1)
    shares = [
        [sum(b[k] == a[k] and b[1 - k] == a[1 - k] for b in labels) / sum(b[k] == a[k] for b in labels) for k in (0, 1)]
        for a in labels
    ]
    both = b_cubed(clusters, entities)
    assert both.precision == pytest.approx(sum(s[0] for s in shares) / len(labels))
    assert both.recall == pytest.approx(sum(s[1] for s in shares) / len(labels))


def test_perfect_is_one():
    same = {"a": 1, "b": 1, "c": 2}
    assert pairwise(same, same).f1 == b_cubed(same, same).f1 == 1
