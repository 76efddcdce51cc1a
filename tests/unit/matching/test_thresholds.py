"""Thresholds from the pairs' own chances, and how sure they are in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching import thresholds
from matching.thresholds import Point, Thresholds


@pytest.mark.parametrize(
    ("raised", "spread", "sure"),
    [
        (0.0, 0.001, "surely"),
        (0.0, 0.02, "roughly"),
        (2.0, 0.001, "roughly"),
        (3.5, 0.001, "only roughly"),
        (3.5, 0.02, "only roughly"),
    ],
)
def test_words_tell_how_sure(raised: float, spread: float, sure: str):
    found = Thresholds(3.0, -1.5, -4.0, Point(3.0, 0.987, 0.954, 0.97), spread, raised)
    assert found.words == (
        f"merging from 3.0 bits (p ≥ 0.889) is expected, {sure}, to be right in 98.7% of pairs "
        f"(± {2 * spread:.1%}) and to find 95.4%"
    )


def test_the_threshold_leaves_doubtful_pairs_out_and_is_higher_for_few_records():
    weight, count = np.array([12.0, 1.0, -6.0]), np.array([1_000.0, 1_000.0, 100_000.0])
    many, curve = thresholds.choose(weight, count, 2_000.0, 1_000_000)
    assert 1.0 < many.auto <= 12.0
    assert many.expected.precision > thresholds.LEAST_PRECISION
    assert many.review == pytest.approx(many.auto - thresholds.REVIEW_BELOW, abs=0.01)
    assert [p.recall for p in curve] == sorted((p.recall for p in curve), reverse=True)
    few, _ = thresholds.choose(np.array([12.0]), np.array([20.0]), 20.0, 10)
    assert few.auto == few.raised == pytest.approx(thresholds.SMALL, abs=0.1)


def test_without_a_pair_there_is_still_a_threshold():
    found, _ = thresholds.choose(np.array([]), np.array([]), 0.0, 1)
    assert found.expected.recall == 0
    assert Thresholds.from_dict(found.as_dict()) == found


@given(
    st.dictionaries(st.tuples(st.integers(0, 4), st.integers(5, 9)), st.integers(-5, 20)), st.lists(st.integers(1, 2))
)
def test_of_rivals_for_a_record_one_at_most_is_a_match(weights: dict[tuple[int, int], int], others: list[int]):
    """Five records of one source, and five of one or two others."""
    pairs = list(weights)
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    source = np.array([0] * 5 + (others + [1] * 5)[:5])
    best, chance = thresholds.best_of_both(left, right, np.array([float(weights[pair]) for pair in pairs]), source)
    for k, (a, b) in enumerate(pairs):
        rivals = [w for (c, d), w in weights.items() if (c == a and source[d] == source[b]) or d == b]
        assert best[k] == (weights[a, b] == max(rivals))
        odds = sum(2.0**w for w in rivals)
        assert chance[k] == pytest.approx(2.0 ** weights[a, b] / (1 + odds))


def test_where_a_record_has_one_partner_at_most_its_relatives_raise_no_threshold():
    """Each of a hundred records has a partner at ten bits, and two relatives at three, which are not merged with it."""
    left = np.repeat(np.arange(100), 3)
    right = 100 + (left + np.tile([0, 1, 2], 100)) % 100
    weight, source = np.tile([10.0, 3.0, 3.0], 100), np.repeat([0, 1], 100)
    alone, _ = thresholds.choose(weight, np.ones(300), 100.0, 1_000_000)
    best, chance = thresholds.best_of_both(left, right, weight, source)
    assert best.tolist() == [True, False, False] * 100
    together, _ = thresholds.choose(weight[best], np.ones(100), 100.0, 1_000_000, None, chance[best])
    assert together.auto < 3 < alone.auto
    assert together.expected.precision < alone.expected.precision
