"""The design that most identity graphs begin with, as the baseline: no profiles, no protocol, no rules.

An event is MERGEd into the graph in a transaction of its own. Who a person is gets worked out at read time, by
walking everything that is connected. Its labels are its own, so that it can stand in one database with the product.

    (:NaiveIdentifier {key, first_seen, last_seen})-[:SEEN_WITH {count, last_seen}]-(:NaiveIdentifier)
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import perf_counter
from typing import Any, LiteralString

from neo4j import Driver, ManagedTransaction
from neo4j.exceptions import ClientError, TransientError

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


def keys_of(observation: dict[str, Any]) -> list[str]:
    """The identifiers as keys; lower case is all the normalising that this design does."""
    return [f"{i['namespace']}:{i['value'].lower()}" for i in observation["identifiers"]]


def ingest(driver: Driver, observations: Iterable[dict[str, Any]], *, clients: int = 1) -> tuple[int, float]:
    """Write each observation in a transaction of its own, from so many threads; returns (observations, seconds)."""
    stream, turn = iter(observations), Lock()

    def client() -> int:
        written = 0
        with driver.session() as session:
            while True:
                with turn:
                    observation = next(stream, None)
                if observation is None:
                    return written
                session.execute_write(_write_event, keys_of(observation), observation["observedAt"])
                written += 1

    begun = perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        counts = [thread.result() for thread in [threads.submit(client) for _ in range(clients)]]
    return sum(counts), perf_counter() - begun


def _write_event(tx: ManagedTransaction, keys: list[str], at: str) -> None:
    tx.run(_WRITE_EVENT, keys=keys, at=at).consume()


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
    records, _, _ = driver.execute_query(READ_PRUNED, key=key)
    return {record["key"] for record in records}


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
