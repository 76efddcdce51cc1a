"""The baseline is a fair one: it finds the connected components, and it explodes where it is said to."""

from collections.abc import Generator

import pytest
from neo4j import Driver, GraphDatabase

from bench import naive
from bench.streams import observations
from identity_graph.domain.partition import DisjointSets
from identity_graph.neo4j_runtime import Connection

pytestmark = pytest.mark.neo4j


@pytest.fixture
def driver(neo4j_connection: Connection) -> Generator[Driver]:
    auth = (neo4j_connection.user, neo4j_connection.password)
    with GraphDatabase.driver(neo4j_connection.uri, auth=auth) as driver:
        naive.prepare(driver)
        yield driver
        naive.clear(driver)


@pytest.mark.parametrize("clients", [1, 4])
def test_reading_finds_the_component(driver: Driver, clients: int) -> None:
    stream = list(observations(150, seed=11))
    load = naive.ingest(driver, stream, clients=clients)
    assert len(load.latencies) == len(stream)
    assert load.seconds > max(load.latencies)
    keys = {key for o in stream for key in naive.keys_of(o)}
    sets = DisjointSets(keys)
    for o in stream:
        first, *others = naive.keys_of(o)
        for other in others:
            sets.join(first, other)
    for key in sorted(keys)[::7]:
        assert naive.read_pruned(driver, key) == {other for other in keys if sets.find(other) == sets.find(key)}


def test_an_unknown_key_has_nothing(driver: Driver) -> None:
    assert naive.read_pruned(driver, "email:nobody@mail.example") == set()


def test_unpruned_reading_never_ends_where_there_are_cycles(driver: Driver) -> None:
    star = naive.build_profile(driver, "star", 40)
    wheel = naive.build_profile(driver, "wheel", 40, cycles=True)
    assert len(naive.read_pruned(driver, star)) == len(naive.read_pruned(driver, wheel)) == 40
    assert naive.read_unpruned(driver, star) == naive.read_pruned(driver, star)
    assert naive.read_unpruned(driver, wheel, seconds=1) is None


def test_only_the_pruned_reading_is_planned_with_pruning(driver: Driver) -> None:
    def operators(statement: str) -> set[str]:
        with driver.session() as session:
            plan = session.run(f"EXPLAIN {statement}", key="x").consume().plan  # pyright: ignore[reportArgumentType]
        assert plan
        found, rest = set[str](), [plan]
        while rest:
            node = rest.pop()
            found.add(node["operatorType"].split("@")[0])
            rest += node.get("children", [])
        return found

    assert any("Pruning" in operator for operator in operators(naive.READ_PRUNED))
    assert not any("Pruning" in operator for operator in operators(naive.READ_UNPRUNED))
