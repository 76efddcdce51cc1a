"""Looking at everything the product needs of a machine, and saying what to do where something is amiss."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neo4j import GraphDatabase
from neo4j.exceptions import AuthError, ConfigurationError, DriverError, Neo4jError, ServiceUnavailable

from identity_graph.neo4j_runtime.failure import RuntimeFailure
from identity_graph.neo4j_runtime.machine import OVERHEAD_MB, find_java, memory, memory_for
from identity_graph.neo4j_runtime.provision import cache_root, can_fetch, corrupt_jars, provisioned, resolve_version
from identity_graph.neo4j_runtime.server import MIN_FREE_DISK_MB, Connection, data_version, sign_in, status

PACKAGES = ("identity-graph", "neo4j", "neo4j-rust-ext", "splink", "duckdb", "fastapi", "strawberry-graphql")
OLDEST_SERVER = (5, 26)
COMFORTABLE_DISK_MB = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is as it should be, what was found, and what to do if not."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def diagnose(
    data_dir: Path,
    external: Connection | None = None,
    *,
    heap_mb: int | None = None,
    page_cache_mb: int | None = None,
) -> list[Finding]:
    """Look at this machine, at the data directory, and at its embedded database or else at the `external` server.

    `heap_mb` and `page_cache_mb` are what a start would be asked for. Starts nothing, fetches nothing to keep and
    leaves nothing behind.
    """
    data_dir = data_dir.resolve()
    findings = [_python(), _packages(), _writable("data folder", data_dir, "IDENTITY_GRAPH_DATA_DIR")]
    if external:
        advice = "Free some space: the audit and the models are kept there."
        return [*findings, _disk(data_dir, MIN_FREE_DISK_MB, advice), _external(external)]
    return [*findings, *_embedded(data_dir, heap_mb, page_cache_mb)]


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info < (3, 13)
    return Finding("Python", ok, found, "" if ok else "Use Python 3.11 or 3.12.")


def _packages() -> Finding:
    found: list[str] = []
    missing: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            "packages", False, f"missing: {', '.join(missing)}", "Install the package with its dependencies."
        )
    return Finding("packages", True, ", ".join(found))


def _external(server: Connection) -> Finding:
    name = "database"
    try:
        with GraphDatabase.driver(
            server.uri, auth=(server.user, server.password), connection_acquisition_timeout=15, connection_timeout=10
        ) as driver:
            agent = driver.get_server_info().agent
            driver.execute_query("RETURN 1")
    except (ConfigurationError, ValueError) as error:
        return Finding(name, False, f"NEO4J_URI is no address of a server: {error}", "Write it like bolt://host:7687.")
    except AuthError:
        advice = "Correct NEO4J_USER and NEO4J_PASSWORD."
        return Finding(name, False, f"{server.uri} refuses the user {server.user} with this password", advice)
    except (ServiceUnavailable, OSError):
        advice = "Start the server, and correct NEO4J_URI or the firewall between."
        return Finding(name, False, f"{server.uri} does not answer", advice)
    except (DriverError, Neo4jError) as error:
        return Finding(name, False, f"{server.uri} answers with an error: {error}", "See the server's own log.")
    numbers = agent.rpartition("/")[2].split(".")[:2]
    recent = all(map(str.isdecimal, numbers)) and tuple(map(int, numbers)) >= OLDEST_SERVER
    return Finding(name, recent, f"{agent} at {server.uri}", "" if recent else "Use Neo4j 5.26 or newer.")


def _embedded(data_dir: Path, heap_mb: int | None, page_cache_mb: int | None) -> Generator[Finding]:
    wanted = resolve_version(data_version(data_dir))
    running = status(data_dir)
    yield _try("Java", lambda: (java := find_java(wanted)) and f"Java {java.feature} at {java.executable}")
    yield _jars(wanted)
    yield _writable("cache folder", cache_root(), "IDENTITY_GRAPH_CACHE_DIR")
    advice = f"Free some space: a million identifiers need about 1 GB, and a start needs {MIN_FREE_DISK_MB} MB."
    yield _disk(data_dir, COMFORTABLE_DISK_MB, advice)
    now = memory()
    if running.running:
        yield Finding("memory", True, f"{now.available} of {now.total} MB are free beside the running database")
        yield _server(data_dir, running.uri or "")
    else:
        yield _try("memory", lambda: _memory_plan(now.available, heap_mb, page_cache_mb))
        yield Finding("embedded database", True, f"Neo4j {wanted}, not running; commands start it when they need it")


def _try(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except RuntimeFailure as failure:
        return Finding(name, False, failure.args[0], failure.advice)


def _memory_plan(available: int, heap_mb: int | None, page_cache_mb: int | None) -> str:
    heap, page_cache = memory_for(heap_mb, page_cache_mb)
    return f"{available} MB are free; the database takes {heap + page_cache + OVERHEAD_MB} at most"


def _jars(wanted: str) -> Finding:
    name = f"Neo4j {wanted}"
    found = provisioned(wanted)
    if found is None:
        if can_fetch(wanted):
            return Finding(name, True, "not fetched yet; the first start does it, in about a minute")
        advice = "Connect to the internet once, or set HTTPS_PROXY, or NEO4J_URI to use a server of your own."
        return Finding(name, False, "not fetched yet, and its repository cannot be reached", advice)
    if damaged := corrupt_jars(found):
        advice = f"Delete {found.lib} and {cache_root() / 'jars'}; the next start fetches them anew."
        return Finding(name, False, f"{len(damaged)} damaged files, such as {damaged[0]}", advice)
    return Finding(name, True, f"{len(found.jars)} files fetched and intact")


def _writable(name: str, folder: Path, setting: str) -> Finding:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=nearest) as probe:
            probe.write(b"probe")
    except OSError as error:
        advice = f"Correct its permissions, or set {setting} to another folder."
        return Finding(name, False, f"{nearest} cannot be written ({error.strerror})", advice)
    return Finding(name, True, str(folder))


def _disk(folder: Path, wanted_mb: int, advice: str) -> Finding:
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(nearest).free >> 20
    return Finding("disk", free >= wanted_mb, f"{free} MB are free", "" if free >= wanted_mb else advice)


def _server(data_dir: Path, uri: str) -> Finding:
    def look() -> str:
        found = status(data_dir)
        sign_in(data_dir, int(uri.rpartition(":")[2]))
        use = "in use" if found.in_use else "not in use"
        again = f", started again {found.restarts} times after a crash" if found.restarts else ""
        return f"Neo4j {found.version} at {found.uri}, {use}{again}"

    try:
        return _try("embedded database", look)
    except ServiceUnavailable:
        advice = "It may be starting; else stop it by `identity-graph neo4j stop`."
        return Finding("embedded database", False, f"{uri} does not answer", advice)
