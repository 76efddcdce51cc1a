"""Starting, joining and stopping the embedded Neo4j server of a data directory.

Several commands share one server. Each holds a shared lock on `run/users.lock` while it uses it; the
supervisor (see `supervisor.py`) ends the server when it can take that lock alone. `run/start.lock` makes
starting and stopping one at a time. Everything works after `kill -9` of anybody, as the kernel frees locks.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout
from neo4j import GraphDatabase
from neo4j.exceptions import AuthError
from rich.console import Console

from identity_graph.neo4j_runtime.failure import RuntimeFailure
from identity_graph.neo4j_runtime.java import find_java
from identity_graph.neo4j_runtime.provision import Provision, provision, repair, resolve_version

USER = "neo4j"
MAIN_CLASS = "org.neo4j.server.Neo4jCommunity"
MAIN_CLASS_5 = "org.neo4j.server.CommunityEntryPoint"
OPEN_PACKAGES = (
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)
START_TIMEOUT = 600.0
STOP_TIMEOUT = 60.0
PORT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a Neo4j server is and how to sign in. The password is left out of the representation."""

    uri: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Status:
    """What runs on a data directory. Memory in MB, `started_at` in seconds since 1970."""

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


@dataclass(slots=True)
class _Lease:
    """This process's share in `users.lock`, counted within the process."""

    descriptor: int
    count: int = 0


_leases: dict[Path, _Lease] = {}


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

    Fetches Neo4j first if it is not in the cache. With `keep` the server stays when nobody uses it, until
    `stop`. `heap_mb`, `page_cache_mb` and `port` are chosen if left out, and ignored when joining.
    Raises `RuntimeFailure` when it cannot run.
    """
    data_dir = data_dir.resolve()
    run = _run_dir(data_dir)
    say = Console(stderr=True).print if progress else _silent
    with _start_lock(run, say):
        _take_lease(data_dir, run)
        try:
            connection = _join(data_dir, run) or _launch(data_dir, run, version, heap_mb, page_cache_mb, port, progress)
            if keep:
                (run / "keep").touch()
            return connection
        except BaseException:
            _drop_lease(data_dir)
            raise


@contextmanager
def running(
    data_dir: Path,
    *,
    version: str | None = None,
    heap_mb: int | None = None,
    page_cache_mb: int | None = None,
    port: int | None = None,
    progress: bool = True,
) -> Generator[Connection]:
    """Use the server of a data directory within a block; it ends with its last user, unless it is kept."""
    connection = start(
        data_dir,
        version=version,
        heap_mb=heap_mb,
        page_cache_mb=page_cache_mb,
        port=port,
        progress=progress,
    )
    try:
        yield connection
    finally:
        _drop_lease(data_dir.resolve())


def status(data_dir: Path) -> Status:
    data_dir = data_dir.resolve()
    run = data_dir / "run"
    state = _read_state(run)
    if state is None or not _is_locked(run / "supervisor.lock"):
        return Status(data_dir, running=False)
    return Status(
        data_dir,
        running=True,
        uri=f"bolt://127.0.0.1:{state['port']}",
        version=state["version"],
        pid=state["java"],
        keep=(run / "keep").exists(),
        in_use=_is_locked(run / "users.lock"),
        started_at=state["started_at"],
        heap_mb=state["heap_mb"],
        page_cache_mb=state["page_cache_mb"],
        restarts=state["restarts"],
    )


def stop(data_dir: Path) -> None:
    """End the server of a data directory, whoever uses it. Nothing happens if none runs."""
    data_dir = data_dir.resolve()
    run = data_dir / "run"
    if not run.exists():
        return
    (run / "keep").unlink(missing_ok=True)
    state = _read_state(run)
    if state is None:
        return
    if _is_locked(run / "supervisor.lock"):
        os.kill(state["supervisor"], 15)
        deadline = time.monotonic() + STOP_TIMEOUT
        while _is_locked(run / "supervisor.lock"):
            if time.monotonic() > deadline:
                os.kill(state["supervisor"], 9)
                break
            time.sleep(0.05)
    _end_orphan(data_dir, state)


def _run_dir(data_dir: Path) -> Path:
    run = data_dir / "run"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RuntimeFailure(
            "not_writable",
            f"The data directory {data_dir} cannot be written ({error.strerror}).",
            "Choose another with IDENTITY_GRAPH_DATA_DIR, or correct its permissions.",
        ) from error
    return run


def _silent(*_: object) -> None:
    pass


@contextmanager
def _start_lock(run: Path, say: Any) -> Generator[None]:
    lock = FileLock(run / "start.lock")
    try:
        lock.acquire(timeout=2)
    except Timeout:
        say("Another command is starting the database; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _take_lease(data_dir: Path, run: Path) -> None:
    lease = _leases.get(data_dir)
    if lease is None:
        lease = _Lease(os.open(run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600))
        deadline = time.monotonic() + STOP_TIMEOUT
        while True:
            try:
                fcntl.flock(lease.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except OSError:
                # The last user has just gone and the server is ending: the next one starts afresh.
                if time.monotonic() > deadline:
                    os.close(lease.descriptor)
                    raise RuntimeFailure(
                        "in_use",
                        f"Another command has the database in {data_dir} to itself (dump, load or import).",
                        "Wait until it is done.",
                    ) from None
                time.sleep(0.05)
        _leases[data_dir] = lease
    lease.count += 1


def _drop_lease(data_dir: Path) -> None:
    lease = _leases[data_dir]
    lease.count -= 1
    if lease.count == 0:
        os.close(lease.descriptor)
        del _leases[data_dir]


def _is_locked(path: Path) -> bool:
    """Whether another open file holds an exclusive or shared lock on it."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _read_state(run: Path) -> dict[str, Any] | None:
    try:
        return json.loads((run / "state.json").read_text("utf-8"))
    except FileNotFoundError:
        return None


def _join(data_dir: Path, run: Path) -> Connection | None:
    state = _read_state(run)
    if state is None or not _is_locked(run / "supervisor.lock"):
        return None
    password = (data_dir / "password").read_text("utf-8")
    return Connection(f"bolt://127.0.0.1:{state['port']}", USER, password)


def _end_orphan(data_dir: Path, state: dict[str, Any]) -> None:
    """Where the kernel knows no parent-death signal, a killed supervisor leaves its Java process behind."""
    try:
        process = psutil.Process(state["java"])
        if f"--home-dir={data_dir / 'neo4j'}" in process.cmdline():
            process.kill()
            process.wait(10)
    except (psutil.NoSuchProcess, KeyError):
        pass


def _launch(
    data_dir: Path,
    run: Path,
    version: str | None,
    heap_mb: int | None,
    page_cache_mb: int | None,
    port: int | None,
    progress: bool,
) -> Connection:
    if state := _read_state(run):
        _end_orphan(data_dir, state)
    found = provision(resolve_version(version), progress=progress)
    heap, page_cache = memory_for(heap_mb, page_cache_mb)
    for attempt in range(PORT_ATTEMPTS):
        chosen = port or _free_port()
        try:
            _start_server(data_dir, run, found, heap, page_cache, chosen)
        except RuntimeFailure as failure:
            if failure.code == "port_taken" and port is None and attempt < PORT_ATTEMPTS - 1:
                continue
            if failure.code == "corrupt_jar" and (repaired := repair(found, progress=progress)):
                found = repaired
                continue
            raise
        return _sign_in(data_dir, chosen)
    raise AssertionError


def memory_for(heap_mb: int | None, page_cache_mb: int | None) -> tuple[int, int]:
    """Heap and page cache in MB: an eighth of the machine's memory each, within 256 to 2,048."""
    total = psutil.virtual_memory().total >> 20
    share = max(256, min(2048, total // 8))
    return heap_mb or share, page_cache_mb or share


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def java_command(found: Provision, heap_mb: int, data_dir: Path) -> list[str]:
    """Java with Neo4j's class path and options; a main class and its arguments follow."""
    java = find_java(found.version)
    return [
        str(java.executable),
        "-cp",
        os.pathsep.join(str(path) for path in found.class_path),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseParallelGC",
        "-XX:+ExitOnOutOfMemoryError",
        *OPEN_PACKAGES,
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dlog4j2.disable.jmx=true",
        "-Dfile.encoding=UTF-8",
    ]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NEO4J", "JAVA", "JDK"))}
    return {**kept, "NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}


def write_configuration(home: Path, port: int, page_cache_mb: int) -> None:
    (home / "conf").mkdir(parents=True, exist_ok=True)
    lines = {
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.listen_address": f":{port}",
        "server.http.enabled": "false",
        "server.memory.pagecache.size": f"{page_cache_mb}m",
        "db.transaction.timeout": "30s",
        "db.lock.acquisition.timeout": "5s",
        "db.tx_log.preallocate": "false",
        "db.tx_log.rotation.retention_policy": "256M size",
        "dbms.usage_report.enabled": "false",
        "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
    }
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    (home / "conf" / "neo4j.conf").write_text(text, "utf-8")


def _start_server(data_dir: Path, run: Path, found: Provision, heap_mb: int, page_cache_mb: int, port: int) -> None:
    home = data_dir / "neo4j"
    write_configuration(home, port, page_cache_mb)
    console = run / "console.log"
    token = secrets.token_hex(8)
    main = MAIN_CLASS_5 if found.version.startswith("5.") else MAIN_CLASS
    spec = {
        "run": str(run),
        "console": str(console),
        "cwd": str(home),
        "env": environment(home),
        "command": [
            *java_command(found, heap_mb, data_dir),
            main,
            f"--home-dir={home}",
            f"--config-dir={home / 'conf'}",
            "--console-mode",
        ],
        "state": {
            "token": token,
            "port": port,
            "version": found.version,
            "started_at": time.time(),
            "heap_mb": heap_mb,
            "page_cache_mb": page_cache_mb,
        },
    }
    console.unlink(missing_ok=True)
    script = Path(__file__).with_name("supervisor.py")
    subprocess.run([sys.executable, "-I", "-S", script], input=json.dumps(spec), text=True, check=True)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        state = _read_state(run)
        if state and state["token"] == token:
            text = console.read_text("utf-8", errors="replace") if console.exists() else ""
            if "Started." in text:
                return
            if "exit" in state:
                raise _explain(data_dir, found.version, port, state, text)
        time.sleep(0.05)
    stop(data_dir)
    raise RuntimeFailure(
        "start_timeout",
        f"Neo4j did not start within {START_TIMEOUT:.0f} seconds.",
        f"Look at {console}.",
    )


def _explain(data_dir: Path, version: str, port: int, state: dict[str, Any], text: str) -> RuntimeFailure:
    return RuntimeFailure("crash", f"Neo4j {version} ended while starting.", text[-2000:])


def _sign_in(data_dir: Path, port: int) -> Connection:
    """Sign in with the password of the data directory, which the very first connection sets."""
    file = data_dir / "password"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(24))
    connection = Connection(f"bolt://127.0.0.1:{port}", USER, file.read_text("utf-8"))
    auth = (USER, connection.password)
    try:
        with GraphDatabase.driver(connection.uri, auth=auth) as driver:
            driver.verify_connectivity()
    except AuthError:
        with GraphDatabase.driver(connection.uri, auth=(USER, USER)) as driver:
            driver.execute_query(
                "ALTER CURRENT USER SET PASSWORD FROM $old TO $new",
                old=USER,
                new=connection.password,
                database_="system",
            )
    return connection
