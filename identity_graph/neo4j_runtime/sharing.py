"""How the processes that share one embedded server keep out of each other's way.

In `run/` of a data directory lie three locks, all freed by the kernel when their holder dies, whatever way:
`start.lock` makes starting, stopping and maintenance one at a time; `users.lock` is shared by everyone who uses
the server, and taken alone by the supervisor to end it or by maintenance; `supervisor.lock` is held by the
supervisor for as long as it lives. `state.json` tells what the supervisor started.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from identity_graph.neo4j_runtime.failure import RuntimeFailure, from_os_error

WAIT_SECONDS = 60.0
ALONE_SECONDS = 3.0


@dataclass(slots=True)
class _Lease:
    """This process's share in `users.lock`, counted within the process."""

    descriptor: int
    count: int = 0


_leases: dict[Path, _Lease] = {}
_threads = threading.RLock()


def run_dir(data_dir: Path) -> Path:
    """The folder of locks and state, made if missing. Raises `RuntimeFailure` `not_writable` or `disk_full`."""
    run = data_dir / "run"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        run.mkdir(mode=0o700, exist_ok=True)
        (run / "start.lock").touch(mode=0o600)
    except OSError as error:
        raise from_os_error(error, data_dir, "IDENTITY_GRAPH_DATA_DIR") from error
    return run


@contextmanager
def start_lock(run: Path, say: Callable[[str], None]) -> Generator[None]:
    lock = FileLock(run / "start.lock")
    try:
        lock.acquire(timeout=2)
    except Timeout:
        say("Another command is busy with the database; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def take_lease(data_dir: Path) -> None:
    """Become a user of the server, so that it stays. Waits for a server that is just ending."""
    with _threads:
        lease = _leases.get(data_dir) or _Lease(_share(data_dir))
        lease.count += 1
        _leases[data_dir] = lease


def drop_lease(data_dir: Path) -> None:
    with _threads:
        lease = _leases[data_dir]
        lease.count -= 1
        if lease.count == 0:
            # Said aloud, as a forked child that still lives would go on holding the lock.
            fcntl.flock(lease.descriptor, fcntl.LOCK_UN)
            os.close(lease.descriptor)
            del _leases[data_dir]


def _share(data_dir: Path) -> int:
    descriptor = os.open(data_dir / "run" / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + WAIT_SECONDS
    while not _lock(descriptor, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise _in_use(data_dir)
        time.sleep(0.02)
    return descriptor


@contextmanager
def alone(data_dir: Path) -> Generator[None]:
    """Nobody but this process uses the server within the block. Raises `RuntimeFailure` `in_use`."""
    take_lease(data_dir)
    descriptor = _leases[data_dir].descriptor
    # Not at the first refusal: someone who only asks whether it is used holds the lock for a moment.
    deadline = time.monotonic() + ALONE_SECONDS
    try:
        while not _lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise _in_use(data_dir)
            time.sleep(0.02)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        drop_lease(data_dir)


def supervised(run: Path) -> bool:
    """Whether a supervisor lives, which holds its lock alone."""
    # Asked for as a share, so that two who ask at once do not take each other for a supervisor.
    return not _free(run / "supervisor.lock", fcntl.LOCK_SH)


def used(run: Path) -> bool:
    """Whether anybody uses the server, this process included."""
    return not _free(run / "users.lock", fcntl.LOCK_EX)


def _free(path: Path, kind: int) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        # Not there, or out of our reach, so that no server of ours can hold it.
        return True
    try:
        return _lock(descriptor, kind)
    finally:
        os.close(descriptor)


def read_state(run: Path) -> dict[str, Any]:
    """What the supervisor wrote last; empty if there was none, or if it is out of our reach."""
    try:
        return json.loads((run / "state.json").read_text("utf-8"))
    except OSError:
        return {}


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _in_use(data_dir: Path) -> RuntimeFailure:
    return RuntimeFailure(
        "in_use",
        f"Another command uses the database in {data_dir}.",
        "Wait until it has ended, or end it; `identity-graph neo4j status` tells whether the database is free.",
    )
