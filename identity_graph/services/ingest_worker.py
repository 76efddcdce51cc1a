"""Parsing in processes of their own, ahead of the writer.

A worker reads the whole file but parses only its share of the batches, so nobody hands rows around. It is started by
its module's name: a process of `multiprocessing` would first import whatever program this is part of.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler
from typing import Any

from identity_graph.services.ingest_batches import Batch, Task, batches
from identity_graph.services.ingest_files import UnreadableFile

#: A file below this, in bytes, is parsed before a process for it would have started.
SMALL = 2 << 20
#: Batches that a worker parses ahead.
AHEAD = 8


@contextmanager
def reading(task: Task, workers: int) -> Generator[Iterator[Batch]]:
    """The batches of a file in order. Drawing them raises :class:`UnreadableFile`."""
    if task.path.is_file() and task.path.stat().st_size < SMALL:
        yield batches(task)
        return
    with ExitStack() as stack:
        connections = [stack.enter_context(_worker(task, part, workers)) for part in range(workers)]
        yield _in_turn(connections)


@contextmanager
def _worker(task: Task, part: int, parts: int) -> Generator[Connection]:
    ours, theirs = Pipe()
    with ours:
        with theirs:
            number = theirs.fileno()
            process = subprocess.Popen([sys.executable, "-P", "-m", __name__, str(number)], pass_fds=[number])
        try:
            ours.send((task, part, parts))
            yield ours
        finally:
            process.kill()
            process.wait()


def _in_turn(connections: list[Connection]) -> Iterator[Batch]:
    while True:
        for connection in connections:
            try:
                batch = connection.recv()
            except EOFError:
                raise RuntimeError("a process that reads the file ended without a word") from None
            if batch is None:
                return
            if isinstance(batch, UnreadableFile):
                raise batch
            yield batch


def main() -> None:
    """Be a worker: the task comes over the connection whose number is the argument, and the batches go back."""
    # Ctrl-C reaches all processes of a terminal; what is under way is the first one's to finish.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection: Connection = Connection(int(sys.argv[1]))
    task, part, parts = connection.recv()
    parsed: queue.Queue[Any] = queue.Queue(AHEAD)

    def send() -> None:
        try:
            while (batch := parsed.get()) is not None:
                connection.send_bytes(batch)
        except OSError:
            os._exit(0)  # nobody listens any more

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for batch in batches(task, part, parts):
            parsed.put(ForkingPickler.dumps(batch))
        parsed.put(ForkingPickler.dumps(None))
    except UnreadableFile as e:
        parsed.put(ForkingPickler.dumps(e))
    finally:
        parsed.put(None)
        sender.join()


if __name__ == "__main__":
    main()
