"""The run's one server as an empty graph for each test, and options for servers of one's own."""

import os
from collections.abc import Generator
from contextlib import closing

import neo4j
import pytest
from sending import PatientGraph
from stored import empty

from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph


@pytest.fixture(scope="session")
def small() -> dict[str, str | int]:
    """Options for `start` and `running`: the version under test and as little memory as is allowed."""
    wanted = os.environ.get("IDENTITY_GRAPH_TEST_NEO4J_VERSION")
    return {"version": neo4j_runtime.resolve_version(wanted), "heap_mb": 256, "page_cache_mb": 64}


@pytest.fixture(scope="session")
def driver(neo4j_connection: Connection) -> Generator[neo4j.Driver]:
    """The plain driver: what tests find in the database, they find without the code under test."""
    auth = (neo4j_connection.user, neo4j_connection.password)
    off = neo4j.NotificationMinimumSeverity.OFF
    with neo4j.GraphDatabase.driver(neo4j_connection.uri, auth=auth, notifications_min_severity=off) as driver:
        yield driver


@pytest.fixture(scope="session")
def migrated(neo4j_connection: Connection) -> Generator[Graph]:
    with closing(PatientGraph.connect(neo4j_connection, patience=300.0)) as graph:
        graph.migrate(now())
        yield graph


@pytest.fixture
def graph(migrated: Graph, driver: neo4j.Driver) -> Graph:
    """The migrated graph without any data."""
    empty(driver)
    return migrated
