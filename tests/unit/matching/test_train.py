"""What training hands over is fit to be used, or refused: on a few hand-made patterns of pairs."""

from dataclasses import replace

import numpy as np
import pytest

from matching import train
from matching.configure import Comparison, Level
from matching.errors import TrainingError

NULL = Level("missing", "a_l IS NULL OR a_r IS NULL", null=True)
SAME = Level("same", "a_l = a_r", 0.8, 0.01)
ALIKE = Level("alike", "levenshtein(a_l, a_r) <= 1", 0.1, 0.04)
OTHER = Level("different", "ELSE", 0.1, 0.95)


def comparison(name: str, *levels: Level) -> Comparison:
    return Comparison(name, (NULL, *(levels or (SAME, ALIKE, OTHER))), "")


def patterns(counts: dict[tuple[int, ...], float]) -> train.Patterns:
    """Pairs by the indices of their levels; 1 is that of the first after the null level."""
    zeros, number = np.zeros(len(counts)), np.array(list(counts.values()))
    gamma = np.array(list(counts), dtype=np.int16)
    return train.Patterns(
        gamma, zeros, zeros, number, number, np.zeros(len(counts), dtype=np.int8), np.ones(len(counts), dtype=np.bool_)
    )


def trained(counts: dict[tuple[int, ...], float], *comparisons: Comparison, rows: int = 5_000) -> train.Trained:
    """From pairs that are all there are, so that they are the sample too."""
    found = patterns(counts)
    return train.fit(comparisons, found, found, float(found.count.sum()), rows)


def bits(found: train.Trained, k: int = 0) -> list[float]:
    return [float(np.log2(m / u)) for m, u in zip(found.m[k][1:], found.u[k][1:], strict=True)]


#: Two comparisons that agree together in 2,000 pairs, and hardly by chance in the others.
TELLING = {(1, 1): 2_000.0, (1, 3): 100.0, (3, 1): 100.0, (2, 1): 100.0, (1, 2): 100.0, (3, 3): 1_000_000.0}


def test_what_is_plain_is_learned():
    found = trained(TELLING, comparison("a"), comparison("b"))
    assert found.matches == pytest.approx(2_200, rel=0.1)
    assert found.m[0][1] > 0.85
    assert not found.warnings


@pytest.mark.parametrize("alike", [50.0, 1_000.0, 20_000.0])
def test_weights_fall_from_agreement_to_disagreement(alike: float):
    """Even where fewer strangers are alike than the same in every letter."""
    counts = TELLING | {(1, 3): 50_000.0, (2, 1): alike}
    found = trained(counts, comparison("a"), comparison("b"))
    for k in range(2):
        assert bits(found, k) == sorted(bits(found, k), reverse=True)


def test_levels_out_of_order_share_one_weight_and_it_is_told():
    counts = TELLING | {(1, 3): 50_000.0, (2, 1): 1_000.0}
    found = trained(counts, comparison("a"), comparison("b"))
    same, alike, _ = bits(found)
    assert same == pytest.approx(alike)
    assert "a: levels 'same', 'alike' were out of order and share one weight" in found.warnings


@pytest.mark.parametrize(
    ("m", "u", "clipped"), [(0.9, 1e-12, train.MAX_WEIGHT), (1e-9, 0.9, train.MIN_WEIGHT)], ids=["high", "low"]
)
def test_weights_beyond_belief_are_clipped_and_it_is_told(m: float, u: float, clipped: float):
    rare = replace(SAME, label="rare", m=m, u=u, free=True)
    sure = replace(comparison("a", rare, SAME, OTHER), belief_u=1e9, trust=1e9)
    found = trained({(2, 1): 2_000.0, (3, 3): 1_000_000.0}, sure, comparison("b"))
    assert bits(found)[0] == pytest.approx(clipped)
    assert f"a: 'rare' clipped at {clipped} bits" in found.warnings


def test_what_is_fixed_is_neither_trained_nor_clipped():
    fixed = (replace(SAME, m=0.7, u=1e-12, fixed=True), replace(OTHER, m=0.3, u=0.5, fixed=True))
    found = trained({(1, 1): 2_000.0, (2, 3): 1_000_000.0}, comparison("a", *fixed), comparison("b"))
    assert (found.m[0][1:], found.u[0][1:]) == ([0.7, 0.3], [1e-12, 0.5])


@pytest.mark.parametrize(("rows", "told"), [(1_000, True), (5_000, False)])
def test_two_runs_that_disagree_are_reported(rows: int, told: bool):
    """Are the many that are alike in both matches? It depends on how many EM takes for matches at first."""
    found = trained({(1, 1): 50.0, (2, 2): 14_000.0, (3, 3): 100_000.0}, comparison("a"), comparison("b"), rows=rows)
    warning = "two runs of EM from different starts disagree by more than a bit on a 'same'"
    assert any(w.startswith(warning) for w in found.warnings) is told


#: The first differs nearly always where the other two agree.
OTHER_NAMES = {(3, 1, 1): 5_000.0, (1, 1, 1): 100.0, (3, 3, 3): 1_000_000.0}


@pytest.mark.parametrize("name", ["given_name", "family_name"])
def test_a_model_of_pairs_with_different_names_is_refused(name: str):
    with pytest.raises(TrainingError, match=f"refused: {name} would disagree in 97% of matches"):
        trained(OTHER_NAMES, comparison(name), comparison("b"), comparison("c"))
    assert trained(OTHER_NAMES, comparison("city"), comparison("b"), comparison("c")).matches > 5_000


def test_agreement_that_is_no_evidence_is_told():
    counts = {(3, 1, 1): 20_000.0, (1, 3, 3): 500_000.0, (3, 3, 3): 500_000.0}
    found = trained(counts, comparison("city"), comparison("b"), comparison("c"))
    assert "city: agreement is no evidence in this data" in found.warnings
