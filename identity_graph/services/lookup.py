"""Look-ups of identifiers, coalesced across requests: those that arrive while a query runs share the next one."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar

from identity_graph.domain.identifiers import Identifier, InvalidIdentifier, identify
from identity_graph.domain.past import as_it_was
from identity_graph.domain.rules import Rules
from identity_graph.store.graph import Graph

K = TypeVar("K")
V = TypeVar("V")

MAX_IDENTIFIERS = 1_000
"""The most identifiers of one request."""

#: Keys of one query. Larger batches gain nothing and make the next one wait.
MAX_BATCH = 2_000

#: Profiles of one query whose members, records or events are read: each may bring a thousand.
MAX_PROFILES = 100

#: Later than any time that the graph holds.
END_OF_TIME = 2**62


@dataclass(frozen=True, slots=True)
class Freshness:
    """How a read sees the graph: as it was at ``as_of`` (microseconds since 1970), and at least the token's write."""

    as_of: int | None = None
    token: str | None = None


NOW = Freshness()


class Coalesced(Generic[K, V]):
    """A batch loader shared by all requests of one event loop.

    ``load(group, keys)`` runs on the executor and returns what it found by key; only keys of one group meet in a
    batch. Up to ``in_flight`` loads run at once, and what is asked meanwhile waits for the next: under load batches
    grow by themselves, alone a key waits for nobody. Everything here is confined to the event loop.
    """

    def __init__(
        self,
        executor: Executor,
        load: Callable[[Any, list[K]], Mapping[K, V]],
        in_flight: int = 2,
        most: int = MAX_BATCH,
    ) -> None:
        self._executor, self._load, self._free, self._most = executor, load, in_flight, most
        self._waiting: deque[tuple[Any, Sequence[K], asyncio.Future[Mapping[K, V]]]] = deque()

    def many(self, group: Any, keys: Sequence[K]) -> "asyncio.Future[Mapping[K, V]]":
        """What was found of these keys, and perhaps of others."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Mapping[K, V]] = loop.create_future()
        self._waiting.append((group, keys, future))
        if len(self._waiting) == 1:
            # Not at once: requests that were read from their sockets in the same turn of the loop go together.
            loop.call_soon(self._start, loop)
        return future

    async def one(self, group: Any, key: K) -> V | None:
        return (await self.many(group, (key,))).get(key)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._free and self._waiting:
            group = self._waiting[0][0]
            keys: dict[K, None] = {}
            waiters: list[asyncio.Future[Mapping[K, V]]] = []
            others: deque[tuple[Any, Sequence[K], asyncio.Future[Mapping[K, V]]]] = deque()
            for waiting in self._waiting:
                if waiting[0] == group and (not waiters or len(keys) + len(waiting[1]) <= self._most):
                    keys.update(dict.fromkeys(waiting[1]))
                    waiters.append(waiting[2])
                else:
                    others.append(waiting)
            self._waiting = others
            self._free -= 1
            work = loop.run_in_executor(self._executor, self._load, group, list(keys))
            work.add_done_callback(partial(self._finish, loop, waiters))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        waiters: list["asyncio.Future[Mapping[K, V]]"],
        work: "asyncio.Future[Mapping[K, V]]",
    ) -> None:
        self._free += 1
        error = work.exception()
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(work.result())
            else:
                waiter.set_exception(error)
        self._start(loop)


class Status(StrEnum):
    """What is known of an identifier that was asked for."""

    RESOLVED = "RESOLVED"
    UNKNOWN = "UNKNOWN"
    BLOCKED = "BLOCKED"
    SHARED = "SHARED"
    SUPPRESSED = "SUPPRESSED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Found:
    """The answer for one identifier: namespace and value as normalised, or as asked where they are invalid.

    ``profile`` is the id of the person's profile where ``status`` is RESOLVED. ``holder`` is the profile that holds
    the identifier, be it only the anonymous one of a shared identifier. ``reason`` says what is wrong with an
    invalid one.
    """

    namespace: str
    value: str
    status: Status
    profile: str | None = None
    holder: str | None = None
    reason: str | None = None


class Lookup:
    """Which profile an identifier belongs to."""

    def __init__(self, graph: Graph, rules: Rules, executor: Executor) -> None:
        self._graph, self._rules = graph, rules
        self._loader: Coalesced[str, tuple[str, str | None]] = Coalesced(executor, self._load)

    def _load(self, group: Freshness, keys: list[str]) -> Mapping[str, tuple[str, str | None]]:
        if group.as_of is None:
            rows = self._graph.read("lookup/now", token=group.token, keys=keys)
            return {key: (state, profile) for key, state, profile in rows[0][0]}
        at = group.as_of
        rows = self._graph.read("lookup/as_of", token=group.token, keys=keys, at=at)
        return {key: (as_it_was(state, "", was, at)[0], profile) for key, state, was, profile in rows[0][0]}

    def key(self, asked: tuple[str, str]) -> str | None:
        """The key that a namespace and a raw value are looked up by, if they are valid and no junk."""
        identified = _identified(*asked, self._rules)
        return identified.key if isinstance(identified, Identifier) else None

    async def resolve(self, asked: Sequence[tuple[str, str]], fresh: Freshness = NOW) -> list[Found]:
        """The answers in the order asked, one to each pair of namespace and raw value."""
        rules = self._rules
        past = fresh.as_of is not None
        answers: list[Found | Identifier] = [_identified(namespace, raw, rules, past=past) for namespace, raw in asked]
        keys = [a.key for a in answers if isinstance(a, Identifier)]
        known = await self._loader.many(fresh, keys) if keys else {}
        return [a if isinstance(a, Found) else _answer(a, known.get(a.key)) for a in answers]


def _identified(namespace: str, raw: str, rules: Rules, *, past: bool = False) -> Found | Identifier:
    """``past``: by other rules, what is junk now may have been somebody's."""
    try:
        identifier = identify(namespace, raw, rules)
    except InvalidIdentifier as e:
        return Found(namespace, raw, Status.INVALID, reason=f"{e.field}: {e}")
    if identifier.blocked and not past:
        return Found(identifier.namespace, identifier.value, Status.BLOCKED)
    return identifier


def _answer(identifier: Identifier, known: tuple[str, str | None] | None) -> Found:
    namespace, value = identifier.namespace, identifier.value
    if known is None:
        return Found(namespace, value, Status.BLOCKED if identifier.blocked else Status.UNKNOWN)
    state, profile = known
    if state == "SHARED":
        return Found(namespace, value, Status.SHARED, holder=profile)
    if state == "BLOCKED" or profile is None:
        return Found(namespace, value, Status.BLOCKED if state == "BLOCKED" else Status.UNKNOWN)
    return Found(namespace, value, Status.RESOLVED, profile, profile)
