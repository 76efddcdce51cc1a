"""The design that most identity graphs begin with, as the baseline: no profiles, no protocol, no rules.

An event is MERGEd into the graph in a transaction of its own. Who a person is gets worked out at read time, by
walking everything that is connected. Its labels are its own, so that it can stand in one database with the product.

    (:NaiveIdentifier {key, first_seen, last_seen})-[:SEEN_WITH {count, last_seen}]-(:NaiveIdentifier)
"""

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, cycle, repeat
from threading import Lock
from time import perf_counter
from typing import Any, LiteralString, TypeVar

from neo4j import Driver, GraphDatabase, ManagedTransaction, Session
from neo4j.exceptions import ClientError, TransientError

from bench.harness import Load
from bench.streams import observations
from identity_graph.neo4j_runtime import Connection

T = TypeVar("T")

NAIVE_SEED = 9

_CONSTRAINT: LiteralString = """
CREATE CONSTRAINT naive_identifier_key IF NOT EXISTS FOR (i:NaiveIdentifier) REQUIRE i.key IS UNIQUE
"""

_CLEAR: LiteralString = """
MATCH (i:NaiveIdentifier) CALL (i) { DETACH DELETE i } IN TRANSACTIONS OF 10000 ROWS
"""

_WRITE_EVENT: LiteralString = """
UNWIND $keys AS key
MERGE (i:NaiveIdentifier {key: key})
  ON CREATE SET i.first_seen = $at
SET i.last_seen = $at
WITH collect(i) AS seen
WITH seen[0] AS first, seen[1..] AS others
UNWIND others AS other
MERGE (first)-[l:SEEN_WITH]-(other)
  ON CREATE SET l.count = 0
SET l.count = l.count + 1, l.last_seen = $at
"""

# DISTINCT lets the planner prune: every node is walked through once.
READ_PRUNED: LiteralString = """
MATCH (:NaiveIdentifier {key: $key})-[:SEEN_WITH*0..]-(member)
RETURN DISTINCT member.key AS key
"""

# Without it every path is walked, and in a graph with cycles their number grows exponentially.
READ_UNPRUNED: LiteralString = """
MATCH (:NaiveIdentifier {key: $key})-[:SEEN_WITH*0..]-(member)
RETURN member.key AS key
"""

_BUILD_PROFILE: LiteralString = """
CREATE (hub:NaiveIdentifier {key: $name + '-0'})
WITH hub
UNWIND range(1, $size - 1) AS n
CREATE (hub)-[:SEEN_WITH {count: 1}]->(:NaiveIdentifier {key: $name + '-' + n})
"""

_CLOSE_CYCLES: LiteralString = """
UNWIND range(1, $size - 2) AS n
MATCH (one:NaiveIdentifier {key: $name + '-' + n}), (next:NaiveIdentifier {key: $name + '-' + (n + 1)})
CREATE (one)-[:SEEN_WITH {count: 1}]->(next)
"""


def prepare(driver: Driver) -> None:
    """An empty naive graph with its constraint."""
    driver.execute_query(_CONSTRAINT)
    clear(driver)


def clear(driver: Driver) -> None:
    """Delete the naive graph and nothing else."""
    with driver.session() as session:
        session.run(_CLEAR).consume()


def keys_of(observation: Mapping[str, Any]) -> list[str]:
    """The identifiers as keys; lower case is all the normalising that this design does."""
    return [f"{i['namespace']}:{i['value'].lower()}" for i in observation["identifiers"]]


def ingest(
    driver: Driver, observations: Iterable[Mapping[str, Any]], *, clients: int = 1, seconds: float = math.inf
) -> Load:
    """Write each observation in a transaction of its own, from so many threads, for so long at most."""
    return _timed(
        driver,
        observations,
        lambda session, o: session.execute_write(_write_event, keys_of(o), o["observedAt"]),
        clients,
        seconds,
    )


def look_up(driver: Driver, keys: Iterable[str], *, clients: int = 1, seconds: float = math.inf) -> Load:
    """Find everything connected to each key, from so many threads, for so long at most."""
    return _timed(driver, keys, lambda session, key: session.execute_read(_read, key), clients, seconds)


def _timed(
    driver: Driver, items: Iterable[T], do: Callable[[Session, T], object], clients: int, seconds: float
) -> Load:
    stream, turn, load = iter(items), Lock(), Load()
    begun = perf_counter()

    def client() -> None:
        with driver.session() as session:
            while perf_counter() - begun < seconds:
                with turn:
                    item = next(stream, None)
                if item is None:
                    return
                sent = perf_counter()
                do(session, item)
                load.latencies.append(perf_counter() - sent)

    with ThreadPoolExecutor(clients) as threads:
        for done in [threads.submit(client) for _ in range(clients)]:
            done.result()
    load.seconds = perf_counter() - begun
    return load


def _write_event(tx: ManagedTransaction, keys: list[str], at: str) -> None:
    tx.run(_WRITE_EVENT, keys=keys, at=at).consume()


def _read(tx: ManagedTransaction, key: str) -> set[str]:
    return {record["key"] for record in tx.run(READ_PRUNED, key=key)}


def build_profile(driver: Driver, name: str, size: int, *, cycles: bool = False) -> str:
    """One person with `size` identifiers around a hub, such as a user id with its cookies; returns the hub's key.

    With `cycles` each identifier was also seen with the next one, as devices that share a visit are.
    """
    driver.execute_query(_BUILD_PROFILE, name=name, size=size)
    if cycles:
        driver.execute_query(_CLOSE_CYCLES, name=name, size=size)
    return f"{name}-0"


def read_pruned(driver: Driver, key: str) -> set[str]:
    """Everything connected to a key, each node walked through once; empty for an unknown key."""
    with driver.session() as session:
        return session.execute_read(_read, key)


def read_unpruned(driver: Driver, key: str, *, seconds: float = 5) -> set[str] | None:
    """The same by walking every path; None if that takes longer than `seconds`."""

    try:
        with driver.session() as session, session.begin_transaction(timeout=seconds) as tx:
            keys = {record["key"] for record in tx.run(READ_UNPRUNED, key=key)}
            tx.rollback()
            return keys
    except (ClientError, TransientError) as error:
        if "Terminat" in str(error.code) or "TimedOut" in str(error.code):
            return None
        raise


# ------------------------------------------------------------------------------------------------ figures


@dataclass(frozen=True, slots=True)
class Baseline:
    """What this design reaches, by the driver and without a service around it.

    `writes` and `reads` are by the number of clients; reads are of profiles of ten. `small` and `big` are the reads
    of one client in a profile of 10 and in one of 1,000.
    """

    writes: Mapping[int, Load]
    reads: Mapping[int, Load]
    small: Load
    big: Load

    @property
    def best(self) -> float:
        """Events a second, by whatever number of clients is fastest."""
        return max(load.rate for load in self.writes.values())


def measure(connection: Connection, seconds: float) -> Baseline:
    """Its figures on a server, each over so many seconds after as long a warm-up; it leaves nothing behind."""
    auth = (connection.user, connection.password)
    with GraphDatabase.driver(connection.uri, auth=auth, notifications_min_severity="OFF") as driver:
        prepare(driver)
        try:
            return _measure(driver, seconds)
        finally:
            clear(driver)


def _measure(driver: Driver, seconds: float) -> Baseline:
    stream = observations(n_observations=1_000_000, seed=NAIVE_SEED)
    ingest(driver, stream, clients=8, seconds=seconds)
    writes = {clients: ingest(driver, stream, clients=clients, seconds=seconds) for clients in (1, 8, 32)}
    tens = cycle([build_profile(driver, f"ten{n}", 10) for n in range(20)])
    look_up(driver, tens, clients=8, seconds=seconds)
    reads = {clients: look_up(driver, tens, clients=clients, seconds=seconds) for clients in (1, 32)}
    build_profile(driver, "big", 1000)
    look_up(driver, repeat("big-1"), seconds=seconds / 2)
    turns = look_up(driver, chain.from_iterable(repeat(("ten0-1", "big-1"))), seconds=seconds)
    small, big = (Load(sum(part), part) for part in (turns.latencies[0::2], turns.latencies[1::2]))
    return Baseline(writes, reads, small, big)
