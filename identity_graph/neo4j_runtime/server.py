"""Starting, joining and stopping the embedded Neo4j server of a data directory.

Several commands share one server (see `sharing.py`), which a supervisor owns (see `supervisor.py`). Everything
works after `kill -9` of anybody.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from neo4j import GraphDatabase
from neo4j.exceptions import AuthError, DriverError, Neo4jError
from rich.console import Console

from identity_graph.neo4j_runtime.class_archive import ClassArchive
from identity_graph.neo4j_runtime.failure import RuntimeFailure, from_os_error, from_output, last_words
from identity_graph.neo4j_runtime.machine import find_java, java_command, java_environment, memory_for, tied
from identity_graph.neo4j_runtime.provision import provision, repair, resolve_version
from identity_graph.neo4j_runtime.sharing import (
    alone,
    drop_lease,
    read_state,
    run_dir,
    start_lock,
    supervised,
    take_lease,
    used,
)

USER = "neo4j"
DATABASE = "neo4j"
UNFINISHED = "unfinished"
HOST = "127.0.0.1"
MIN_FREE_DISK_MB = 200
START_SECONDS = 900.0
PATIENCE_SECONDS = 20.0
STOP_SECONDS = 60.0
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a Neo4j server is and how to sign in. The password is left out of the representation."""

    uri: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """What runs on a data directory.

    `pid` is the Java process; memory is in MB; `started_at` in seconds since 1970; `restarts` counts how often
    the supervisor replaced a crashed server; `keep` says that it stays without users.
    """

    data_dir: Path
    running: bool
    uri: str | None = None
    version: str | None = None
    pid: int | None = None
    keep: bool = False
    in_use: bool = False
    started_at: float | None = None
    heap_mb: int | None = None
    page_cache_mb: int | None = None
    restarts: int = 0


def start(
    data_dir: Path,
    *,
    version: str | None = None,
    heap_mb: int | None = None,
    page_cache_mb: int | None = None,
    port: int | None = None,
    progress: bool = True,
    keep: bool = False,
) -> Connection:
    """Start the server of a data directory, or join the one that runs, and use it until this process ends.

    Fetches Neo4j first if it is not in the cache. `version` is the one that wrote the data if left out; `port` and
    the sizes of heap and page cache are chosen if left out, and a server that runs keeps its sizes. With `keep` the
    server stays when nobody uses it, until `stop`. Raises `RuntimeFailure` when it cannot run.
    """
    data_dir = data_dir.resolve()
    run = run_dir(data_dir)
    say = _speaker(progress)
    with start_lock(run, say):
        take_lease(data_dir)
        try:
            if not supervised(run):
                (run / "keep").unlink(missing_ok=True)
                _launch(data_dir, version, heap_mb, page_cache_mb, port, progress)
            else:
                _refuse_other(data_dir, version, port)
            connection = _connect(data_dir, say)
            if keep:
                (run / "keep").touch()
        except BaseException:
            drop_lease(data_dir)
            raise
    return connection


@contextmanager
def running(
    data_dir: Path,
    *,
    version: str | None = None,
    heap_mb: int | None = None,
    page_cache_mb: int | None = None,
    port: int | None = None,
    progress: bool = True,
    keep: bool = False,
) -> Generator[Connection]:
    """Use the server of a data directory within a block; it ends with its last user, unless it is kept."""
    connection = start(
        data_dir,
        version=version,
        heap_mb=heap_mb,
        page_cache_mb=page_cache_mb,
        port=port,
        progress=progress,
        keep=keep,
    )
    try:
        yield connection
    finally:
        drop_lease(data_dir.resolve())


def status(data_dir: Path) -> Status:
    """What runs on a data directory now; starts nothing."""
    data_dir = data_dir.resolve()
    run = data_dir / "run"
    state = read_state(run)
    if "java" not in state or not supervised(run):
        return Status(data_dir, running=False)
    return Status(
        data_dir,
        running=True,
        uri=f"bolt://{HOST}:{state['port']}",
        version=state["version"],
        pid=state["java"],
        keep=(run / "keep").exists(),
        in_use=used(run),
        started_at=state["started_at"],
        heap_mb=state["heap_mb"],
        page_cache_mb=state["page_cache_mb"],
        restarts=state["restarts"],
    )


def stop(data_dir: Path) -> None:
    """End the server of a data directory, whoever uses it. Nothing happens if none runs."""
    data_dir = data_dir.resolve()
    run = data_dir / "run"
    deadline = time.monotonic() + STOP_SECONDS
    asked: int | None = None
    while supervised(run):
        pid = read_state(run).get("supervisor")
        late = time.monotonic() > deadline
        if pid and (late or pid != asked):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            asked = pid
        time.sleep(0.02)
    _end_orphan(data_dir)


@contextmanager
def stopped(
    data_dir: Path, *, first: Callable[[Connection], None] | None = None, progress: bool = True
) -> Generator[None]:
    """The data directory to ourselves, without a server; one that was kept is started again afterwards.

    `first` may look at the database, if there is one, when nobody else can change it any more, and raise.
    Raises `RuntimeFailure` with the code `in_use` while another process uses the server.
    """
    data_dir = data_dir.resolve()
    run = run_dir(data_dir)
    before = status(data_dir)
    try:
        with start_lock(run, _speaker(progress)), alone(data_dir):
            if first and has_database(data_dir):
                if not supervised(run):
                    _launch(data_dir, None, None, None, None, progress)
                first(_connect(data_dir, _speaker(progress)))
            stop(data_dir)
            yield
    finally:
        if before.keep and not (data_dir / UNFINISHED).exists():
            with running(
                data_dir,
                version=before.version,
                heap_mb=before.heap_mb,
                page_cache_mb=before.page_cache_mb,
                progress=progress,
                keep=True,
            ):
                pass


def has_database(data_dir: Path) -> bool:
    """Whether there are files of a whole graph."""
    return (data_dir / "neo4j" / "data" / "databases" / DATABASE).exists() and not (data_dir / UNFINISHED).exists()


def data_version(data_dir: Path) -> str | None:
    """The Neo4j version that last opened the data, `None` if there is none yet or it is out of our reach."""
    try:
        return (data_dir / "version").read_text("utf-8")
    except OSError:
        return None


def write_configuration(home: Path, version: str, port: int, page_cache_mb: int) -> None:
    lines = {
        "server.default_listen_address": HOST,
        "server.bolt.listen_address": f":{port}",
        "server.http.enabled": "false",
        "server.memory.pagecache.size": f"{page_cache_mb}m",
        "db.transaction.timeout": "30s",
        # It looks every two seconds by default whose time is over: an 8 s write would last as long as its request.
        "db.transaction.monitor.check.interval": "500ms",
        "db.lock.acquisition.timeout": "5s",
        # A new database is 2 MB then, not 500, and keeps no logs that only a cluster would need.
        "db.tx_log.preallocate": "false",
        "db.tx_log.rotation.retention_policy": "256M size",
        "dbms.usage_report.enabled": "false",
        # Else a stop waits ten seconds for idle connections.
        "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
        # Statements name their indexes, so other statistics seldom make a better plan; by default a graph that is being
        # filled would plan each of them anew every ten seconds.
        "dbms.cypher.min_replan_interval": "5m",
    }
    if not version.startswith("5."):
        # It would announce itself to the local network and to the maker's fleet manager.
        lines |= {"server.fleet_discovery.enabled": "false", "dbms.fleet_manager.enabled": "false"}
    (home / "conf").mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    (home / "conf" / "neo4j.conf").write_text(text, "utf-8")


def _speaker(progress: bool) -> Callable[[str], None]:
    console = Console(stderr=True, quiet=not progress)
    return lambda text: console.print(text, highlight=False)


def _launch(
    data_dir: Path,
    version: str | None,
    heap_mb: int | None,
    page_cache_mb: int | None,
    port: int | None,
    progress: bool,
) -> None:
    _end_orphan(data_dir)
    wanted = resolve_version(version or data_version(data_dir))
    _refuse_older(data_dir, wanted)
    _clear_unfinished(data_dir)
    found = provision(wanted, progress=progress)
    heap, page_cache = memory_for(heap_mb, page_cache_mb)
    java = find_java(wanted)
    archive = ClassArchive.of(found, java)
    archive.begin(java)
    written = (archive.written, archive.whole) if archive.unwritten else ()
    sharing = archive.options() + (archive.options_to_write() if written else [])
    command = java_command(java, found, data_dir / "neo4j", heap, *sharing)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _spawn(data_dir, wanted, command, written, heap, page_cache, port or _free_port())
            _await_started(data_dir, _speaker(progress))
            break
        except RuntimeFailure as failure:
            # A free port may be taken by another before Neo4j takes it; a jar may have rotted on the disk.
            mended = (failure.code == "port_taken" and port is None) or (
                failure.code == "corrupt_jar" and repair(found, progress=progress)
            )
            if not mended or attempt == ATTEMPTS:
                raise
    (data_dir / "version").write_text(wanted, "utf-8")


def _clear_unfinished(data_dir: Path) -> None:
    """What an interrupted import left cannot be opened; it had begun with nothing, so nothing is what remains."""
    marker = data_dir / UNFINISHED
    if not marker.exists():
        return
    if marker.read_text("utf-8") == "load":
        raise RuntimeFailure(
            "unfinished_load",
            f"Loading a dump into {data_dir} did not finish, so the graph is not whole.",
            "Load it again: `identity-graph neo4j load FILE`.",
        )
    delete_database(data_dir)
    marker.unlink()


def delete_database(data_dir: Path) -> None:
    """Delete the files of the graph; the next start makes an empty one. Users and passwords stay."""
    for place in ("databases", "transactions"):
        shutil.rmtree(data_dir / "neo4j" / "data" / place / DATABASE, ignore_errors=True)


def _refuse_older(data_dir: Path, wanted: str) -> None:
    written = data_version(data_dir)
    if written and _numbers(written) > _numbers(wanted):
        raise RuntimeFailure(
            "newer_data",
            f"The data in {data_dir} was written by Neo4j {written}, which {wanted} cannot read.",
            f"Use {written}, or another data directory.",
        )


def _refuse_other(data_dir: Path, version: str | None, port: int | None) -> None:
    """What was asked for by name must be what runs; memory is a matter of speed only."""
    state = read_state(data_dir / "run")
    if not state:
        # Its supervisor has just been born.
        return
    other_version = version and resolve_version(version) != state["version"]
    if other_version or (port and port != state["port"]):
        raise RuntimeFailure(
            "runs_otherwise",
            f"Neo4j {state['version']} runs on {data_dir} already, on port {state['port']}.",
            "Stop it first by `identity-graph neo4j stop`, or ask for no other version or port.",
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _spawn(
    data_dir: Path,
    version: str,
    java: list[str],
    written: Sequence[Path],
    heap_mb: int,
    page_cache_mb: int,
    port: int,
) -> None:
    """Start the supervisor, which starts Java; returns when it has.

    ``written``: a file that Java writes when it ends in order, and the name that it gets then.
    """
    run, home = data_dir / "run", data_dir / "neo4j"
    name = "CommunityEntryPoint" if version.startswith("5.") else "Neo4jCommunity"
    arguments = [f"--home-dir={home}", f"--config-dir={home / 'conf'}", "--console-mode"]
    specification = {
        "run": str(run),
        "home": str(home),
        "environment": java_environment(home),
        "tied": tied(),
        "command": [*java, f"org.neo4j.server.{name}", *arguments],
        "written": list(map(str, written)),
        "state": {
            "port": port,
            "version": version,
            "started_at": time.time(),
            "heap_mb": heap_mb,
            "page_cache_mb": page_cache_mb,
        },
    }
    try:
        free = shutil.disk_usage(data_dir).free >> 20
        if free < MIN_FREE_DISK_MB:
            raise RuntimeFailure(
                "disk_full",
                f"Only {free} MB are free on the disk that holds {data_dir}; {MIN_FREE_DISK_MB} are needed.",
                "Free some space, or set IDENTITY_GRAPH_DATA_DIR to a folder on a larger disk.",
            )
        write_configuration(home, version, port, page_cache_mb)
        shutil.rmtree(home / "tmp", ignore_errors=True)
        (home / "tmp").mkdir()
        (run / "state.json").unlink(missing_ok=True)
        script = Path(__file__).with_name("supervisor.py")
        # It leaves a grandchild behind and ends, so there is nothing to wait for later.
        subprocess.run([sys.executable, "-I", "-S", script], input=json.dumps(specification), text=True, check=True)
    except OSError as error:
        raise from_os_error(error, data_dir, "IDENTITY_GRAPH_DATA_DIR") from error


def _await_started(data_dir: Path, say: Callable[[str], None]) -> None:
    """Wait until Neo4j says so: a driver that connects earlier makes the start several times slower."""
    run = data_dir / "run"
    begun = time.monotonic()
    patient = False
    while (waited := time.monotonic() - begun) < START_SECONDS:
        # Read before the lock is looked at: a supervisor that has ended wrote its state before.
        alive = supervised(run)
        state = read_state(run)
        if not alive:
            raise _explain(run, state)
        if state.get("started"):
            return
        if waited > PATIENCE_SECONDS and not patient:
            patient = True
            say("Neo4j is still starting; after a crash it first recovers what was being written.")
        time.sleep(0.03)
    stop(data_dir)
    raise RuntimeFailure(
        "start_timeout",
        f"Neo4j did not start within {START_SECONDS / 60:.0f} minutes.",
        f"See {run / 'console.log'}.",
    )


def _explain(run: Path, state: dict[str, Any]) -> RuntimeFailure:
    console = run / "console.log"
    text = console.read_text("utf-8", errors="replace") if console.exists() else ""
    if "exit" not in state and "error" not in state:
        return RuntimeFailure("stopped", "The database was stopped while it was starting.", "Start it again.")
    if "error" in state:
        text += f"\nError: {state['error']}"
    if state.get("exit") == -signal.SIGKILL:
        otherwise = RuntimeFailure(
            "too_little_memory",
            "Neo4j was killed while starting, most likely as the machine ran out of memory.",
            "Lower IDENTITY_GRAPH_HEAP_MB and IDENTITY_GRAPH_PAGE_CACHE_MB, or end other programs.",
        )
    else:
        otherwise = RuntimeFailure(
            "crash",
            f"Neo4j {state['version']} ended while starting, saying “{last_words(text)}”.",
            f"See {console} and {run.parent / 'neo4j' / 'logs' / 'debug.log'}.",
        )
    return from_output(text, otherwise)


def _end_orphan(data_dir: Path) -> None:
    """Where the kernel knows no parent-death signal, a killed supervisor leaves its Java process behind."""
    try:
        process = psutil.Process(read_state(data_dir / "run")["java"])
        if f"--home-dir={data_dir / 'neo4j'}" in process.cmdline():
            process.kill()
            process.wait(10)
    except (psutil.Error, KeyError):
        pass


def _connect(data_dir: Path, say: Callable[[str], None]) -> Connection:
    """Sign in to the server of that directory, which may be starting anew after a crash."""
    for _ in range(ATTEMPTS):
        _await_started(data_dir, say)
        try:
            return sign_in(data_dir, read_state(data_dir / "run")["port"])
        except (DriverError, Neo4jError):
            # Starting anew, or so busy that even signing in takes longer than the server allows.
            time.sleep(1)
    raise RuntimeFailure(
        "unreachable",
        "Neo4j runs and does not answer.",
        "Stop it by `identity-graph neo4j stop` and try again.",
    )


def sign_in(data_dir: Path, port: int) -> Connection:
    """Sign in with the password of the data directory, which the very first connection sets."""
    file = data_dir / "password"
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        passwords = [file.read_text("utf-8"), USER]
    else:
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_urlsafe(24))
        passwords = [USER]
    connection = Connection(f"bolt://{HOST}:{port}", USER, file.read_text("utf-8"))
    for password in passwords:
        with GraphDatabase.driver(connection.uri, auth=(USER, password)) as driver:
            try:
                # Until it is changed, the initial password opens only this command.
                if password == USER:
                    driver.execute_query(
                        "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
                        {"old": USER, "new": connection.password},
                        database_="system",
                    )
                else:
                    driver.verify_connectivity()
            except AuthError:
                continue
            return connection
    raise RuntimeFailure(
        "wrong_password",
        f"{file} does not hold the password of this database.",
        "Restore the file from a backup, or move the data by `identity-graph neo4j dump` and `load`.",
    )
