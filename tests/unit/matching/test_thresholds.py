"""Thresholds from the pairs' own chances, and how sure they are in words."""

import numpy as np
import pytest

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
