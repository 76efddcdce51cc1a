"""`/livez`, `/readyz`, `/metrics`: for whoever runs the service. None of them needs a key or tells about people."""

import asyncio

from identity_graph.api.endpoint import Answer, Endpoint
from identity_graph.api.errors import NotReady, WrongMethod
from identity_graph.api.http import Receive, Scope

#: Seconds within which the database must answer.
PATIENCE = 1.0
LIVE = b'{"status":"live"}'


class Live(Endpoint):
    """The process runs; the database may not."""

    name = "/livez"

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        only_get(scope)
        return Answer(200, LIVE)


class Ready(Endpoint):
    """Requests are answered: warmed up, the database within a second, its migrations current."""

    name = "/readyz"

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        only_get(scope)
        graph = self.state.ready().graph
        try:
            async with asyncio.timeout(PATIENCE):
                current = await asyncio.to_thread(graph.is_current)
        except TimeoutError:
            raise NotReady("the database does not answer within a second") from None
        if not current:
            raise NotReady("the graph lacks migrations; run `identity-graph migrate`")
        return Answer(200, b'{"status":"ready"}')


class MetricsText(Endpoint):
    name = "/metrics"

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        only_get(scope)
        return Answer(200, self.state.metrics.text().encode(), b"text/plain; version=0.0.4; charset=utf-8")


def only_get(scope: Scope) -> None:
    if scope["method"] not in ("GET", "HEAD"):
        raise WrongMethod("this is read by GET")
