"""Clusters hold: no chains through contradictions, sources that hold each person once, no matter the order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from matching.cluster import Ints, cluster


class Table:
    """Weighs pairs from a dictionary; what is not there contradicts."""

    def __init__(self, weights: dict[tuple[int, int], float]) -> None:
        self.weights = weights

    def load(self, rids: Ints) -> None:
        pass

    def __call__(self, i: int, j: int) -> float:
        return self.weights.get((i, j), -12.0)


def run(edges: dict[tuple[int, int], float], records: int, exclusive: list[int] | None = None) -> list[int]:
    left, right = (np.array([pair[k] for pair in edges], dtype=np.int64) for k in (0, 1))
    weight = np.array(list(edges.values()), dtype=np.float64)
    return cluster(left, right, weight, records, 2.0, -2.0, Table(edges), exclusive).label.tolist()


def test_a_false_bridge_does_not_join_two_people():
    two = {(a, b): 9.0 for group in ((0, 1, 2), (3, 4, 5)) for a in group for b in group if a < b}
    bridge = two | {(2, 3): 3.0}
    joined = connected_components(coo_matrix((np.ones(7), tuple(zip(*bridge, strict=True))), shape=(6, 6)))[0]
    assert joined == 1, "plain components chain them"
    assert run(bridge, 6) == [0, 0, 0, 3, 3, 3]


def test_a_chain_that_nothing_contradicts_is_one_person():
    chain = {(0, 1): 9.0, (1, 2): 9.0, (0, 2): 1.0}
    assert run(chain, 3) == [0, 0, 0]


def test_a_source_that_holds_each_person_once_keeps_its_records_apart():
    edges = {(0, 2): 9.0, (1, 2): 8.0, (0, 1): 9.5}
    assert run(edges, 3) == [0, 0, 0]
    assert run(edges, 3, exclusive=[7, 7, 8]) == [0, 1, 0]


def test_no_edges():
    assert run({}, 3) == [0, 1, 2]


WEIGHTS = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] < pair[1]),
    st.floats(-10, 20),
    max_size=30,
)


@given(WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_pairs_is_of_no_consequence(edges: dict[tuple[int, int], float], rng: np.random.Generator):
    shuffled = list(edges.items())
    rng.shuffle(shuffled)  # type: ignore[arg-type]
    labels = run(edges, 10)
    assert run(dict(shuffled), 10) == labels
    assert all(labels[label] == label <= i for i, label in enumerate(labels))


def test_a_long_chain_without_a_contradiction_is_cut(monkeypatch: pytest.MonkeyPatch):
    """Each link is good and each cross pair harmless; but nobody vouches for more than two others."""
    chain = {(a, b): 9.0 if b == a + 1 else 0.0 for b in range(12) for a in range(b)}
    assert max(Counter(run(chain, 12)).values()) == 6
    monkeypatch.setattr("matching.cluster._Part.supported", lambda *_: True)
    assert run(chain, 12) == [0] * 12, "agreement on the average joins them all"


@given(WEIGHTS)
def test_no_cluster_is_over_twice_what_one_record_of_it_vouches_for(edges: dict[tuple[int, int], float]):
    labels = run(edges, 10)
    strong = [pair for pair, weight in edges.items() if weight >= 2.0 and labels[pair[0]] == labels[pair[1]]]
    vouched = Counter(i for pair in strong for i in pair)
    for label, size in Counter(labels).items():
        most = max(1 + vouched[i] for i in range(10) if labels[i] == label)
        assert size <= 2 * most


def test_refusals_are_counted():
    edges = {(0, 1): 9.0, (1, 2): 3.0}
    left, right = np.array([0, 1]), np.array([1, 2])
    found = cluster(left, right, np.array([9.0, 3.0]), 3, 2.0, -2.0, Table(edges))
    assert found.refused == pytest.approx(1)
