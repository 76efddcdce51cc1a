"""Work that a service does again and again beside its requests."""

import threading
from collections.abc import Callable


class Periodic:
    """Runs ``work`` in a thread of its own, first after ``first`` seconds, then ``every`` so many, until it is closed.

    The work sees to its own errors: what it raises ends the thread.
    """

    def __init__(self, name: str, work: Callable[[], object], every: float, first: float) -> None:
        self._work, self._every, self._first = work, every, first
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def ends(self) -> bool:
        """Whether somebody waits for the end."""
        return self._ended.is_set()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Begin no more work, and wait for what is under way. It may never have been started."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = self._first
        while not self._ended.wait(pause):
            self._work()
            pause = self._every
