"""The small process that owns one embedded database server.

It is run as a script by a bare interpreter, uses the standard library only, and does four things: it holds
`supervisor.lock` for as long as it lives, starts the Java process so that it cannot outlive it, starts it
again when it crashes after it had been serving, and ends it when nobody uses it any more. Users hold a
shared lock on `users.lock`, which the kernel releases when they die, whatever way; `keep` is a file whose
presence says that the server stays without users.

It reads its specification as JSON from standard input and reports in `state.json`.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
GRACE_SECONDS = 30.0
MAX_RESTARTS = 3
PR_SET_PDEATHSIG = 1


class _Stop(Exception):
    pass


def _die_with_parent() -> None:
    """Runs in the child before Java: the kernel kills it when this process dies, even by SIGKILL."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _write_state(run: Path, state: dict[str, Any]) -> None:
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


def _serve(run: Path, spec: dict[str, Any]) -> None:
    users = os.open(run / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
    console = Path(spec["console"])
    state: dict[str, Any] = {**spec["state"], "supervisor": os.getpid(), "restarts": 0}
    while True:
        with console.open("wb") as output:
            process = subprocess.Popen(
                spec["command"],
                env=spec["env"],
                cwd=spec["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        state["java"] = process.pid
        _write_state(run, state)
        try:
            while process.poll() is None and not _nobody_uses_it(run, users):
                time.sleep(POLL_SECONDS)
            if process.returncode is None:
                raise _Stop
        except _Stop:
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            state["exit"] = 0
            _write_state(run, state)
            return
        served = b"Started." in console.read_bytes()
        if not served or state["restarts"] >= MAX_RESTARTS:
            state["exit"] = process.returncode
            _write_state(run, state)
            return
        state["restarts"] += 1


def main() -> None:
    spec = json.loads(sys.stdin.read())
    run = Path(spec["run"])
    if os.fork():
        # The one who called us waits for this first process only; the second belongs to nobody.
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Stop

    lock = os.open(run / "supervisor.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    try:
        _serve(run, spec)
    except _Stop:
        pass
    except OSError as error:
        _write_state(run, {**spec["state"], "supervisor": os.getpid(), "exit": 127, "error": str(error)})


if __name__ == "__main__":
    main()
