"""Hypothesis profiles, and the one database server that a run shares.

Profiles: `dev` by default, `ci` where CI is set, `thorough` by HYPOTHESIS_PROFILE=thorough. The first two try the same
examples every time, so that a failure speaks of the change at hand; the last draws new ones, to find what is wrong
already, and prints a blob that repeats a failure with `@reproduce_failure`.
"""

import os
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection

# A loaded machine is slow without being wrong, so time never fails a property.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("dev", max_examples=50, derandomize=True, **PATIENT)
settings.register_profile("ci", max_examples=100, derandomize=True, **PATIENT)
settings.register_profile("thorough", max_examples=5_000, derandomize=False, **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# Databases that live for seconds: Java's optimising compiler costs them half of their time and has nothing to win.
os.environ.setdefault("IDENTITY_GRAPH_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


class Together(LoadFileScheduling):
    """What workers share between them: files, and tests/api as a whole, as its service goes on from file to file.

    A service follows its graph. Others empty the database that it runs on, or leave rules of their own in it.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "tests/api" if nodeid.startswith("tests/api/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


@pytest.fixture(scope="session")
def neo4j_connection(tmp_path_factory: pytest.TempPathFactory) -> Generator[Connection]:
    """A real server for the whole run: NEO4J_TEST_URI, else a container, else the embedded one.

    IDENTITY_GRAPH_TEST_NEO4J_VERSION chooses the version of the last two, such as 5.26. Everything that a test
    finds in the database is its own to delete.
    """
    version = neo4j_runtime.resolve_version(os.environ.get("IDENTITY_GRAPH_TEST_NEO4J_VERSION"))
    if uri := os.environ.get("NEO4J_TEST_URI"):
        user = os.environ.get("NEO4J_TEST_USER", "neo4j")
        yield Connection(uri, user, os.environ.get("NEO4J_TEST_PASSWORD", ""))
    elif docker_answers():
        from testcontainers.community.neo4j import Neo4jContainer

        with Neo4jContainer(f"neo4j:{version}") as container:
            yield Connection(container.get_connection_url(), container.username, container.password)
    else:
        data_dir = tmp_path_factory.mktemp("embedded")
        with neo4j_runtime.running(data_dir, version=version, heap_mb=1024, page_cache_mb=256) as connection:
            yield connection


def docker_answers() -> bool:
    """Whether a Docker engine listens where the client library would look for it."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(Path(host.removeprefix("unix://")))) == 0
