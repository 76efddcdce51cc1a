"""Real services on the run's real database, each with its own rules or keys."""

from collections.abc import Generator
from typing import Any

import pytest
from neo4j import Driver, GraphDatabase

from identity_graph.api.keys import Scope, new_key
from identity_graph.app import composed, opened
from identity_graph.domain.rules import NamespaceRule, Rules
from identity_graph.neo4j_runtime import Connection

from .live import Cypher, Locked, Service, running

NARROW = Rules(
    strict=True,
    size_cap=5,
    namespaces={**Rules().namespaces, "badge": NamespaceRule(limit=2, priority=3)},
)


@pytest.fixture(scope="package", autouse=True)
def patient() -> Generator[None]:
    """A loaded machine is slow without being wrong, so no request is given up after ten seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("identity_graph.api.endpoint.REQUEST_TIMEOUT", 100.0)
        yield


@pytest.fixture(scope="package")
def driver(neo4j_connection: Connection) -> Generator[Driver]:
    auth = (neo4j_connection.user, neo4j_connection.password)
    with GraphDatabase.driver(neo4j_connection.uri, auth=auth, notifications_min_severity="OFF") as driver:
        yield driver


@pytest.fixture(scope="package")
def cypher(driver: Driver) -> Cypher:
    def run(text: str, **parameters: Any) -> list[Any]:
        with driver.session() as session:
            return [record.data() for record in session.run(text, parameters)]

    return run


@pytest.fixture(scope="package")
def empty_database(neo4j_connection: Connection, cypher: Cypher) -> Connection:
    """The run's server without what other tests left in it."""
    cypher("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS")
    return neo4j_connection


@pytest.fixture(scope="package")
def service(empty_database: Connection) -> Generator[Service]:
    """The service as `serve` runs it on a new graph: built-in rules, no keys."""
    with running(lambda: opened(empty_database)) as found:
        yield found


@pytest.fixture(scope="package")
def service_url(service: Service) -> str:
    return service.url


@pytest.fixture(scope="package")
def narrow(service: Service) -> Generator[Service]:
    """The same graph by other rules: no unknown namespaces, two badges and five identifiers a profile."""
    with running(lambda: composed(service.graph, NARROW)) as found:
        yield found


@pytest.fixture(scope="package")
def locked(service: Service) -> Generator[Locked]:
    made = {scope.value: new_key(scope.value, frozenset({scope})) for scope in Scope}
    keys = tuple(key for _, key in made.values())
    with running(lambda: composed(service.graph, Rules()), keys) as found:
        yield Locked(found, {scope: text for scope, (text, _) in made.items()})
