"""Group commit: concurrent requests are written together, each answered after the commit.

One thread writes. While a transaction is under way new requests gather, and the next transaction takes them all, so one
client alone never waits and many clients share the cost of a commit. Where a model is active, what was written is
matched before its callers are answered; what that misses is matched when there is nothing else to do.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import Rejection
from identity_graph.domain.matches import UnusableModel
from identity_graph.domain.rules import Rules
from identity_graph.services.match_records import Matching
from identity_graph.services.observe import Answer, Prepare, Taken, observe, observe_in_parts
from identity_graph.store.errors import Refused, StoreError
from identity_graph.store.graph import Graph, join_tokens

logger = logging.getLogger("identity_graph.submit")

#: Observations of one transaction. Throughput is flat from 500 on; a larger batch only makes its requests wait.
MAX_BATCH = 1000
#: From here on a batch is written in parts, by several transactions; below, the second costs more than it gives.
WORTH_PARTING = 400
#: Seconds without a request after which records are looked for that were never matched.
IDLE = 5.0


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


def write_batch(
    graph: Graph,
    batch: Sequence[Observation],
    rules: Rules,
    *,
    dry_run: bool = False,
    matching: Matching | None = None,
) -> Taken:
    """Write a batch, then match its records; one observation that cannot be stored fails alone.

    All of the writing has ended when one write would have. A dry run does not match. Raises :class:`UnusableModel`
    where the active model is not here.
    """
    until = graph.deadline()
    model = matching.active() if matching else None
    prepare = matching.preparing(model) if matching and model else None
    if len(batch) >= WORTH_PARTING and not dry_run:
        again = partial(_write, graph, rules=rules, prepare=prepare, until=until)
        taken = observe_in_parts(graph, batch, rules, now, again, until, prepare)
    else:
        taken = _write(graph, batch, rules, prepare, until, dry_run=dry_run)
    if not (matching and model) or dry_run:
        return taken
    return taken[0], join_tokens((taken[1], matching.after(batch)))


def _write(
    graph: Graph,
    batch: Sequence[Observation],
    rules: Rules,
    prepare: Prepare | None,
    until: float,
    *,
    dry_run: bool = False,
) -> Taken:
    """One transaction; on a refusal bisect the batch."""
    try:
        return graph.write(lambda tx: observe(tx, batch, rules, now, prepare), dry_run=dry_run, until=until)
    except Refused as e:
        if len(batch) == 1:
            return [Rejection(batch[0].id, "NOT_STORABLE", str(e), ())], ""
        middle = len(batch) // 2
        halves = [
            _write(graph, half, rules, prepare, until, dry_run=dry_run) for half in (batch[:middle], batch[middle:])
        ]
        return [answer for answers, _ in halves for answer in answers], join_tokens(token for _, token in halves)


class Submitter:
    """Takes observations from any number of concurrent callers."""

    def __init__(self, graph: Graph, rules: Rules, matching: Matching | None = None, *, waiting: int = 20_000) -> None:
        """``waiting`` bounds the observations that may wait: about four seconds of writing."""
        self._graph, self._rules, self._matching, self._most_waiting = graph, rules, matching, waiting
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
        while request := carried or self._next():
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

    def _next(self) -> _Request | None:
        """The next request. While there is none, what was never matched is."""
        more = self._matching is not None
        while self._matching:
            try:
                return self._queue.get(timeout=1e-3 if more else IDLE)
            except queue.Empty:
                more = self._catch_up(self._matching)
        return self._queue.get()

    def _catch_up(self, matching: Matching) -> bool:
        try:
            return matching.catch_up()
        except (StoreError, UnusableModel) as e:
            logger.warning("nothing is matched for now: %s", e)
            return False

    def _write(self, requests: list[_Request]) -> None:
        batch = [o for r in requests for o in r.items]
        try:
            answers, token = write_batch(self._graph, batch, self._rules, matching=self._matching)
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
