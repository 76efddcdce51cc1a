"""The product as a user runs it: its commands as processes of their own, its service over HTTP."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from bench.harness import Load, Memory, http_load, is_ok, post
from identity_graph import neo4j_runtime
from identity_graph.contracts import contracts
from identity_graph.neo4j_runtime import Connection

PROGRAM = Path(sys.executable).with_name("identity-graph")


class BenchFailed(Exception):
    """Something did not work, so there is nothing to measure."""


def _environment() -> dict[str, str]:
    """Ours, without what would make the product another one than the one that users start with."""
    kept = ("IDENTITY_GRAPH_CACHE_DIR", "IDENTITY_GRAPH_JAVA_HOME", "IDENTITY_GRAPH_JAVA_OPTIONS")
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("IDENTITY_GRAPH_", "NEO4J_"))
    }


class Outcome(NamedTuple):
    """What a command printed as JSON, the seconds from its start to its end, and the most MB that it held."""

    printed: dict[str, Any]
    seconds: float
    peak: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    begun: float
    output: IO[bytes]
    errors: IO[bytes]

    def finish(self) -> Outcome:
        """Wait for the end. Raises BenchFailed where the command failed."""
        with Memory(self.process.pid, leave_out="java") as memory:
            self.process.wait()
        seconds = perf_counter() - self.begun
        if self.process.returncode != 0:
            said = _all_of(self.errors) or _all_of(self.output)
            raise BenchFailed(f"{_line(self.process)} failed: {said}")
        return Outcome(orjson.loads(_all_of(self.output)), seconds, memory.peak)


@contextmanager
def started(*arguments: object, program: Sequence[str] = ()) -> Generator[Command]:
    """A command under way, which is killed where the block ends earlier. ``program`` is another one than users run."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begun = perf_counter()
        process = _program(program, *arguments, "--json", stdout=output, stderr=errors)
        try:
            yield Command(process, begun, output, errors)
        finally:
            process.kill()
            process.wait()


def _program(
    program: Sequence[str], *arguments: object, stdout: int | IO[bytes], stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*(program or (PROGRAM,)), *map(str, arguments)],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )


def _line(process: subprocess.Popen[bytes]) -> str:
    """What a user would have typed."""
    # It was started with a list, which the type of `args` does not tell.
    return "identity-graph " + " ".join(map(str, list(process.args)[1:]))  # pyright: ignore[reportArgumentType]


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def run(*arguments: object, program: Sequence[str] = ()) -> Outcome:
    """A whole command. Raises BenchFailed where it failed."""
    with started(*arguments, program=program) as command:
        return command.finish()


def checked(outcome: Outcome, rows: int) -> Outcome:
    """The outcome of an `ingest` of so many rows. Raises BenchFailed unless it took all of them, for the first time."""
    if outcome.printed["accepted"] != rows:
        counts = {name: outcome.printed[name] for name in ("read", "accepted", "duplicates", "rejected")}
        raise BenchFailed(f"`identity-graph ingest` was to take {rows} rows, but tells of {counts}")
    return outcome


def ingest(file: Path, rows: int, data_dir: Path, program: Sequence[str] = ()) -> Outcome:
    """`identity-graph ingest` of a file of so many rows, all of them new."""
    return checked(run("ingest", file, "--data-dir", data_dir, program=program), rows)


@contextmanager
def joined(data_dir: Path, command: Command | None = None) -> Generator[Connection]:
    """The database of a data directory, kept running within the block.

    With a `command`, the server is the one that the command starts: it is waited for.
    """
    while command is not None and not neo4j_runtime.status(data_dir).running:
        if command.process.poll() is not None:
            command.finish()
            raise BenchFailed("the command ended without a database")
        time.sleep(0.05)
    with neo4j_runtime.running(data_dir, progress=False) as connection:
        yield connection


@dataclass(frozen=True, slots=True)
class Service:
    """`identity-graph serve` on a data directory, its memory watched from the start to the end."""

    data_dir: Path
    host: str
    port: int
    memory: Memory

    def load(
        self,
        requests: Iterable[bytes],
        *,
        clients: int = 1,
        seconds: float | None = None,
        accept: Callable[[int, bytes], bool] = is_ok,
    ) -> Load:
        """Requests over HTTP, see `http_load`. Raises BenchFailed where one was not answered as it should."""
        load = http_load(self.host, self.port, requests, clients=clients, seconds=seconds, accept=accept)
        if load.failed:
            raise BenchFailed(
                f"{load.failed} of {len(load.latencies)} requests failed; the first one by {load.first_failure}"
            )
        return load


@contextmanager
def serving(data_dir: Path) -> Generator[Service]:
    """The service, from when it is ready until the block ends."""
    with tempfile.TemporaryFile() as errors:
        process = _program((), "serve", "--port", 0, "--data-dir", data_dir, stdout=subprocess.PIPE, stderr=errors)
        with process, Memory(process.pid, leave_out="java") as memory:
            try:
                ready, _, address = (process.stdout.readline() if process.stdout else b"").decode().partition(" ")
                if ready != "ready":
                    raise BenchFailed(f"{_line(process)} failed: {_all_of(errors)}")
                where = urlsplit(address.strip())
                yield Service(data_dir, where.hostname or "", where.port or 0, memory)
            finally:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()


# ------------------------------------------------------------------------------------------------ requests


def operation(name: str) -> str:
    return (contracts("graphql") / "operations" / f"{name}.graphql").read_text(encoding="utf-8")


def ask(name: str, **variables: Any) -> bytes:
    """A request for an operation of the contract."""
    return post("/graphql", {"query": operation(name), "variables": variables})


SUBMIT_LINKS, RESOLVE = operation("SubmitLinks"), operation("Resolve")


def submit_links(lines: Iterable[bytes]) -> bytes:
    """A request that submits observations, each as its line of JSON."""
    observations = [orjson.Fragment(line) for line in lines]
    return post("/graphql", {"query": SUBMIT_LINKS, "variables": {"input": {"observations": observations}}})


def all_accepted(status: int, body: bytes) -> bool:
    """Accept an answer of SubmitLinks in which every observation was taken."""
    return status == 200 and b'"errors"' not in body and b"ObservationRejected" not in body


def resolve_graphql(identifiers: list[dict[str, str]]) -> bytes:
    return post("/graphql", {"query": RESOLVE, "variables": {"identifiers": identifiers}})


def resolve_http(identifiers: list[dict[str, str]]) -> bytes:
    return post("/v1/resolve", {"identifiers": identifiers})


def all_resolved(many: int) -> Callable[[int, bytes], bool]:
    """Accept an answer, of GraphQL or HTTP, in which so many identifiers are resolved and none is not."""
    return lambda status, body: status == 200 and body.count(b'"status":"RESOLVED"') == many
