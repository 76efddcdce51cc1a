"""The small process that owns one embedded database server.

It is run as a script by a bare interpreter, uses the standard library only, and does four things: it holds
`supervisor.lock` for as long as it lives, starts the Java process so that it cannot outlive it, starts it again
when it crashes while serving, and ends it when nobody uses it any more. Users hold a shared lock on `users.lock`,
which the kernel frees when they die, whatever way; while the file `keep` exists the server stays without users.

It reads its specification as JSON from standard input and reports in `state.json`: what it was given, its own
process id as `supervisor`, Java's as `java`, `started` once Neo4j serves, `exit` when Java ended by itself, and
`error` when it could not be started at all.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
GRACE_SECONDS = 30.0
MAX_RESTARTS = 3


class _Stop(Exception):
    pass


def _report(run: Path, state: dict[str, Any]) -> None:
    temporary = run / "state.json.new"
    temporary.write_text(json.dumps(state), "utf-8")
    temporary.replace(run / "state.json")


def _nobody_uses_it(run: Path, users: int) -> bool:
    if (run / "keep").exists():
        return False
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    # From here on a newcomer finds the lock taken and waits for this process to end.
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(run: Path, specification: dict[str, Any], state: dict[str, Any]) -> None:
    users = os.open(run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    console = run / "console.log"
    while True:
        with console.open("wb") as output:
            process = subprocess.Popen(
                [*specification["tied"], str(os.getpid()), *specification["command"]],
                env=specification["environment"],
                cwd=specification["home"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            state |= {"java": process.pid, "started": False}
            _report(run, state)
            while process.poll() is None:
                if not state["started"] and b"Started." in console.read_bytes():
                    state["started"] = True
                    _report(run, state)
                if _nobody_uses_it(run, users):
                    raise _Stop
                time.sleep(POLL_SECONDS)
        except BaseException:
            _end(process)
            if specification["written"] and process.returncode != -signal.SIGKILL:
                written, name = map(Path, specification["written"])
                # Another server may have ended and done the same meanwhile; without it a start only takes longer.
                with suppress(OSError):
                    written.replace(name)
            raise
        if not state["started"] or state["restarts"] == MAX_RESTARTS:
            state |= {"exit": process.returncode, "started": False}
            _report(run, state)
            return
        state["restarts"] += 1
        console.replace(run / "console-before-restart.log")


def main() -> None:
    specification = json.loads(sys.stdin.read())
    run = Path(specification["run"])
    lock = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    # Taken before the caller goes on, so that it never looks too early.
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.fork():
        # The caller waits for this first process only; the second, which shares its lock, belongs to nobody.
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Stop

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    state = {**specification["state"], "supervisor": os.getpid(), "restarts": 0}
    try:
        signal.signal(signal.SIGTERM, stop)
        _report(run, state)
        _serve(run, specification, state)
    except _Stop:
        state["started"] = False
        _report(run, state)
    except OSError as error:
        _report(run, {**state, "started": False, "error": str(error)})


if __name__ == "__main__":
    main()
