"""The form of every route: plain ASGI that always answers, and is counted."""

import asyncio
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from identity_graph.api.context import Services
from identity_graph.api.errors import NotReady, Rendering, RequestTimedOut, render
from identity_graph.api.http import JSON_TYPE, Disconnected, Gate, Receive, Scope, Send, respond
from identity_graph.api.metrics import Metrics

#: Seconds until a request is given up. The reads (2) and writes (8) inside end sooner. A commit goes on all the same.
REQUEST_TIMEOUT = 10.0


@dataclass(slots=True)
class State:
    """What the routes share. ``services`` is None until the service is ready, and ``failure`` says why it never is."""

    gate: Gate
    metrics: Metrics = field(default_factory=Metrics)
    services: Services | None = None

    def ready(self) -> Services:
        if self.services is None:
            raise NotReady("the service is starting; try again in a second")
        return self.services


class Answer(NamedTuple):
    status: int
    body: bytes
    media_type: bytes = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Endpoint(ABC):
    """A route. ``name`` is what the metrics call it."""

    name = ""

    def __init__(self, state: State) -> None:
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                answer = await self.answer(scope, receive)
        except Disconnected:
            return
        except TimeoutError:
            answer = self.refuse(
                scope, *render(RequestTimedOut("the request took too long; a write may still succeed"))
            )
        except Exception as e:
            answer = self.refuse(scope, *render(e))
        self.state.metrics.count(self.name, answer.status, time.perf_counter() - started)
        await respond(send, *answer)

    @abstractmethod
    async def answer(self, scope: Scope, receive: Receive) -> Answer: ...

    def refuse(self, scope: Scope, rendering: Rendering, message: str) -> Answer:
        """The answer for an error of the whole request."""
        body: dict[str, Any] = {"code": rendering.code, "message": message}
        return Answer(rendering.status, orjson.dumps(body), JSON_TYPE, advice(rendering))


def advice(rendering: Rendering) -> tuple[tuple[bytes, bytes], ...]:
    """Headers that go with an error."""
    if rendering.status == 401:
        return ((b"www-authenticate", b"Bearer"),)
    return () if rendering.retry_after is None else ((b"retry-after", str(rendering.retry_after).encode()),)
