"""A real service for tests: uvicorn in a thread, and what to say to it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
import uvicorn

from identity_graph.api.context import Services
from identity_graph.api.keys import ApiKey
from identity_graph.app import address, bound, create_app
from identity_graph.neo4j_runtime import Connection
from identity_graph.store.graph import Graph

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "graphql" / "operations"

Cypher = Callable[..., list[Any]]
"""Runs text with parameters: what is needed to bring about what no request can."""


@dataclass
class Service:
    """A running service and its insides: ``graph`` for what no request can do, ``services`` to count what one costs."""

    url: str
    services: Services
    http: httpx.Client = dataclass_field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=30)

    @property
    def graph(self) -> Graph:
        return self.services.graph

    def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        body = {"query": query, "variables": variables or {}}
        return self.http.post("/graphql", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def run(self, operation: str, variables: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The data of one of the contract's operations."""
        answer = self.post((OPERATIONS / f"{operation}.graphql").read_text(), variables, **headers)
        body = answer.json()
        assert "errors" not in body, body["errors"]
        assert answer.status_code == 200
        return body["data"]

    def submit(self, *observations: dict[str, Any], dry_run: bool = False) -> list[dict[str, Any]]:
        given = {"input": {"observations": list(observations), "dryRun": dry_run}}
        return self.run("SubmitLinks", given)["submitLinks"]["results"]

    def resolve(self, *identifiers: dict[str, str], **more: Any) -> list[dict[str, Any]]:
        return self.run("Resolve", {"identifiers": list(identifiers), **more})["resolve"]

    def profile_of(self, identifier: dict[str, str]) -> str:
        (found,) = self.resolve(identifier)
        return found["profile"]["id"]


def seen(*identifiers: dict[str, str], **fields: Any) -> dict[str, Any]:
    """An observation of these identifiers with an id of its own."""
    return {
        "id": str(uuid4()),
        "source": "web",
        "observedAt": "2026-03-01T10:00:00Z",
        "identifiers": list(identifiers),
    } | fields


def an(namespace: str, value: str | None = None) -> dict[str, str]:
    """An identifier in the form of the contract; without a value one that nobody has."""
    return {"namespace": namespace, "value": value or f"{uuid4().hex}"}


def an_email() -> dict[str, str]:
    return an("email", f"{uuid4().hex}@example.com")


@contextmanager
def running(
    services: Callable[[], AbstractContextManager[Services]], keys: tuple[ApiKey, ...] = ()
) -> Generator[Service]:
    with ExitStack() as stack, closing(bound("127.0.0.1", 0)) as listening:
        entered: list[Services] = []
        failures: list[Exception] = []

        @contextmanager
        def noticed() -> Generator[Services]:
            with services() as found:
                entered.append(found)
                yield found

        ready = threading.Event()

        def failed(error: Exception) -> None:
            failures.append(error)
            ready.set()

        app = create_app(keys, noticed, ready.set, failed)
        server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        stack.callback(thread.join)
        stack.callback(lambda: setattr(server, "should_exit", True))
        assert ready.wait(120), "the service did not become ready"
        if failures:
            raise failures[0]
        service = Service(address(listening), entered[0])
        stack.callback(service.http.close)
        yield service


@dataclass
class Locked:
    """A service with keys, and a key for each scope."""

    service: Service
    keys: dict[str, str]

    def headers(self, scope: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[scope]}"}


@contextmanager
def statements_of(service: Service, monkeypatch: pytest.MonkeyPatch) -> Generator[list[str]]:
    """The names of the statements that requests run inside the block, and not what watches the rules meanwhile."""
    run: list[str] = []
    read = Graph.read

    def noted(self: Graph, name: str, /, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        if self is service.graph and threading.current_thread().name != "segments" and name != "rules/find":
            run.append(name)
        return read(self, name, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(Graph, "read", noted)
        yield run


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def command(*arguments: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    run = [str(Path(sys.executable).with_name("identity-graph")), *arguments]
    kept = "IDENTITY_GRAPH_JAVA_OPTIONS"
    clean = {k: v for k, v in os.environ.items() if k == kept or not k.startswith(("IDENTITY_GRAPH", "NEO4J"))}
    process = subprocess.Popen(run, env=clean | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def on(connection: Connection) -> dict[str, str]:
    return {"NEO4J_URI": connection.uri, "NEO4J_USER": connection.user, "NEO4J_PASSWORD": connection.password}
