"""Group commit: concurrent requests are written together, each answered after the commit.

One thread writes. While a transaction is under way new requests gather, and the next transaction takes them all, so one
client alone never waits and many clients share the cost of a commit.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import Rejection
from identity_graph.domain.rules import Rules
from identity_graph.services.observe import Answer, Taken, observe, observe_in_halves
from identity_graph.store.errors import Refused
from identity_graph.store.graph import Graph, join_tokens

#: Observations of one transaction. Throughput is flat from 500 on; a larger batch only makes its requests wait.
MAX_BATCH = 1000
#: From here on a batch is written by two transactions at once; below, the second costs more than it gives.
WORTH_HALVING = 400


class Overloaded(Exception):
    """More is waiting than can be written within a request's time; come back later."""


@dataclass(slots=True)
class _Request:
    items: list[Observation]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Taken]


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def write_batch(graph: Graph, batch: Sequence[Observation], rules: Rules, *, dry_run: bool = False) -> Taken:
    """Write a batch; one observation that cannot be stored fails alone."""
    if len(batch) >= WORTH_HALVING and not dry_run:
        return observe_in_halves(graph, batch, rules, now, lambda half: _write(graph, half, rules))
    return _write(graph, batch, rules, dry_run=dry_run)


def _write(graph: Graph, batch: Sequence[Observation], rules: Rules, *, dry_run: bool = False) -> Taken:
    """One transaction; on a refusal bisect the batch."""
    try:
        return graph.write(lambda tx: observe(tx, batch, rules, now), dry_run=dry_run)
    except Refused as e:
        if len(batch) == 1:
            return [Rejection(batch[0].id, "NOT_STORABLE", str(e), ())], ""
        middle = len(batch) // 2
        halves = [_write(graph, half, rules, dry_run=dry_run) for half in (batch[:middle], batch[middle:])]
        return [answer for answers, _ in halves for answer in answers], join_tokens(token for _, token in halves)


class Submitter:
    """Takes observations from any number of concurrent callers."""

    def __init__(self, graph: Graph, rules: Rules, *, waiting: int = 20_000) -> None:
        """``waiting`` bounds the observations that may wait: about four seconds of writing."""
        self._graph, self._rules, self._most_waiting = graph, rules, waiting
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    async def submit(
        self, items: Sequence[Observation | Rejection], *, dry_run: bool = False
    ) -> tuple[list[Answer], str]:
        """Answers in the order of the items, and a consistency token (empty where nothing was written).

        Raises a :class:`StoreError` where nothing of it is known to be written, and :class:`Overloaded`.
        A caller that goes away does not stop its write.
        """
        observations = [item for item in items if isinstance(item, Observation)]
        answers: list[Answer] = []
        token = ""
        if observations and dry_run:
            answers, token = await asyncio.to_thread(write_batch, self._graph, observations, self._rules, dry_run=True)
        elif observations:
            if self._waiting + len(observations) > self._most_waiting:
                raise Overloaded
            loop = asyncio.get_running_loop()
            request = _Request(observations, loop, loop.create_future())
            self._waiting += len(observations)
            self._queue.put(request)
            answers, token = await asyncio.shield(request.done)
        taken = iter(answers)
        return [item if isinstance(item, Rejection) else next(taken) for item in items], token

    def close(self) -> None:
        """Write what waits, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        carried: _Request | None = None
        while request := carried or self._queue.get():
            requests, size = [request], len(request.items)
            carried = None
            while size < MAX_BATCH and not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    self._queue.put(None)
                    break
                if size + len(more.items) > MAX_BATCH:
                    carried = more
                    break
                requests.append(more)
                size += len(more.items)
            self._write(requests)

    def _write(self, requests: list[_Request]) -> None:
        try:
            answers, token = write_batch(self._graph, [o for r in requests for o in r.items], self._rules)
        except Exception as e:
            # A defect too: its callers, and all that come later, would else wait for ever.
            for request in requests:
                self._finish(request, e)
            return
        start = 0
        for request in requests:
            end = start + len(request.items)
            self._finish(request, (answers[start:end], token))
            start = end

    def _finish(self, request: _Request, result: Taken | Exception) -> None:
        def settle() -> None:
            self._waiting -= len(request.items)
            if request.done.done():
                return
            if isinstance(result, Exception):
                request.done.set_exception(result)
            else:
                request.done.set_result(result)

        if not request.loop.is_closed():
            request.loop.call_soon_threadsafe(settle)
