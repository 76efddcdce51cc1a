"""The composition root: settings and a database in, a running service out."""

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import Route

from identity_graph.api.context import Services
from identity_graph.api.endpoint import REQUEST_TIMEOUT, State
from identity_graph.api.graphql_http import GraphQL
from identity_graph.api.health import Live, MetricsText, Ready
from identity_graph.api.http import Gate
from identity_graph.api.keys import ApiKey
from identity_graph.api.resolve import Resolve
from identity_graph.database import patient
from identity_graph.domain.decision import created_change_id
from identity_graph.domain.matches import UnusableModel
from identity_graph.domain.rules import Rules
from identity_graph.services.active_rules import active_rules, superseded
from identity_graph.services.audit import AuditLog
from identity_graph.services.connections import Connections
from identity_graph.services.expire import Expiry
from identity_graph.services.journey import Journeys, Some
from identity_graph.services.lookup import Freshness, Lookup
from identity_graph.services.match_records import Matching
from identity_graph.services.profiles import Profiles
from identity_graph.services.proposals import Proposals
from identity_graph.services.scoring import Scoring
from identity_graph.services.search import Search
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Stewards
from identity_graph.services.submit import Submitter, now
from identity_graph.store.errors import StoreError
from identity_graph.store.graph import Credentials, Graph

logger = logging.getLogger("identity_graph.app")

T = TypeVar("T")
Read: TypeAlias = Callable[[str, Freshness], Awaitable[object]]

#: Threads that wait for reads. More than some eight queries at once on two cores only make each one slower.
READERS = 8
#: A database that has just started interprets each statement; after so many look-ups they are compiled.
WARM_UP = 200
#: Seconds after which is looked again which rules the graph follows.
RULES_WATCHED = 1.0
#: Attempts at a statement that is planned for the first time, by a database that has just started.
PATIENCE = 20


class CannotServe(Exception):
    """The service cannot start as it was asked to; the message says what to do."""


@contextmanager
def opened(
    to: Credentials, wanted: Rules | None = None, models: Path | None = None, audit: Path | None = None
) -> Generator[Services]:
    """The use cases on a database, whose schema is brought up to date first.

    ``models`` is the folder of models; without one nothing is matched. ``audit`` is the folder in which it is written
    down who reads and who changes; without one it is not. Raises :class:`UnusableModel` where the active
    model is not in it.
    """
    # Another process may be migrating a large graph; no request waits for this one yet.
    with closing(patient(to)) as waiting:
        waiting.migrate(now())
    with (
        closing(Graph.connect(to)) as graph,
        closing(AuditLog(audit, graph, now)) if audit else nullcontext() as log,
        composed(graph, active_rules(graph, wanted, now()), models, log) as services,
    ):
        yield services


@contextmanager
def composed(
    graph: Graph, rules: Rules, models: Path | None = None, audit: AuditLog | None = None
) -> Generator[Services]:
    """The use cases on a graph. Leaving the block writes what still waits."""
    with closing(_compose(graph, rules, models, audit)) as services:
        yield services


def _compose(graph: Graph, rules: Rules, models: Path | None, audit: AuditLog | None) -> Services:
    matching = Matching(graph, rules, models, now) if models else None
    if matching:
        matching.active()
    with ExitStack() as opening:
        readers = opening.enter_context(ThreadPoolExecutor(READERS, thread_name_prefix="reader"))
        writer = opening.enter_context(closing(Submitter(graph, rules, matching)))
        segments = opening.enter_context(closing(Segments(graph, rules, now)))
        segments.start()
        opening.enter_context(closing(Expiry(graph, rules, now))).start()
        lookup = Lookup(graph, rules, readers)
        profiles = Profiles(graph, rules, lookup, readers)
        proposals = Proposals(graph, rules, now)
        return Services(
            graph=graph,
            rules=rules,
            submitter=writer,
            lookup=lookup,
            profiles=profiles,
            journeys=Journeys(graph, rules, readers),
            proposals=proposals,
            connections=Connections(graph, profiles, lookup, proposals),
            scoring=Scoring(matching),
            search=Search(graph, rules),
            stewards=Stewards(graph, rules, now, matching),
            segments=segments,
            audit=audit,
            by=lambda others: _compose(graph, others, models, audit),
            close=opening.pop_all().close,
        )


async def warm_up(services: Services) -> None:
    """Let the database plan and compile what requests will ask, so that the first client is served as well."""
    profiles, lookup, journeys = services.profiles, services.lookup, services.journeys

    def person(name: str, fresh: Freshness) -> Awaitable[object]:
        return lookup.resolve([("email", f"{name}@warm-up.example")], fresh)

    reads: tuple[Read, ...] = (
        person,
        profiles.state,
        lambda id, fresh: profiles.members(id, 1, "", fresh),
        lambda id, fresh: profiles.records(id, 1, None, fresh),
        profiles.golden_record,
        profiles.segments,
        lambda id, fresh: profiles.lineage(id, 1, None, fresh),
        profiles.change,
        lambda id, fresh: profiles.change(created_change_id(id), fresh),
        profiles.link,
        lambda id, fresh: journeys.page(id, 1, Some(), fresh=fresh),
        lambda id, fresh: journeys.page(id, 1, Some(), back=True, fresh=fresh),
        lambda id, fresh: journeys.aggregates(id, None, fresh),
    )
    present = Freshness()
    # Neo4j plans a statement anew when its list is ten times longer than any before.
    for many, fresh in ((1, Freshness(as_of=now())), (1, present), (10, present)):
        for read in reads:
            await _patiently(read, many, fresh)
    for many in (100, 1_000, *[1] * WARM_UP):
        await _patiently(person, many, present)
    await asyncio.to_thread(services.graph.plan_writes)


async def _patiently(read: Read, many: int, fresh: Freshness) -> None:
    """So many reads at once, which share a query. Its first planning may take longer than a read may."""
    for attempt in count():
        try:
            await asyncio.gather(*(read(str(n), fresh) for n in range(many)))
        except StoreError as e:
            if not e.retryable or attempt == PATIENCE:
                raise
        else:
            return


def create_app(
    keys: tuple[ApiKey, ...],
    services: Callable[[], AbstractContextManager[Services]],
    ready: Callable[[], None],
    failed: Callable[[Exception], None],
) -> FastAPI:
    """The web application. It answers at once and opens its services meanwhile, then calls ``ready`` or ``failed``."""
    state = State(Gate(keys))
    stack = ExitStack()
    renewed: list[Services] = []
    retiring: list[asyncio.Task[None]] = []

    async def open_services() -> None:
        try:
            found = await _in_thread(lambda: stack.enter_context(services()))
            await warm_up(found)
        except Exception as e:
            failed(e)
        else:
            state.services = found
            ready()
            await watch_rules(found)

    async def watch_rules(serving: Services) -> None:
        """Go on by other rules where the graph follows others. Requests that are under way end by the former ones."""
        while True:
            await asyncio.sleep(RULES_WATCHED)
            try:
                rules = await asyncio.to_thread(superseded, serving.graph, serving.rules)
                if rules is None:
                    continue
                found = await asyncio.to_thread(serving.by, rules)
                renewed.append(found)
            except Exception as e:
                # Whatever it was may have ended a second later; who stopped watching would refuse every write for ever.
                why = str(e) if isinstance(e, StoreError | UnusableModel) else type(e).__name__
                logger.warning("the rules that the graph follows now cannot be taken yet: %s", why)
                continue
            state.services, former = found, serving
            serving = found
            retiring.append(asyncio.create_task(retire(former)))

    async def retire(former: Services) -> None:
        await asyncio.sleep(REQUEST_TIMEOUT)
        await asyncio.to_thread(former.close)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        opening = asyncio.create_task(open_services())
        try:
            yield
        finally:
            state.services = None
            for task in (opening, *retiring):
                task.cancel()
            await asyncio.wait([opening, *retiring])
            for services in renewed:
                await asyncio.to_thread(services.close)
            await asyncio.to_thread(stack.close)

    return FastAPI(
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
        exception_handlers={404: not_found},
        routes=[
            Route("/graphql", GraphQL(state)),
            Route("/v1/resolve", Resolve(state)),
            Route("/livez", Live(state)),
            Route("/readyz", Ready(state)),
            Route("/metrics", MetricsText(state)),
        ],
    )


async def _in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns. If nobody waits for it any more, it does not keep the process alive either."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.done():
            return
        if error:
            done.set_exception(error)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result = error = None
        try:
            result = work()
        except Exception as e:
            error = e
        # The loop may be closed by now: who was stopped does not wait for this.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="opening", daemon=True).start()
    return await done


async def not_found(_request: Request, _error: Exception) -> JSONResponse:
    return JSONResponse({"code": "NOT_FOUND", "message": "there is nothing at this address"}, 404)


def serve(
    host: str,
    port: int,
    keys: tuple[ApiKey, ...],
    services: Callable[[], AbstractContextManager[Services]],
    ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C. ``ready`` gets the address once requests are answered.

    Raises :class:`CannotServe`, and whatever opening the services raises.
    """
    if not keys and not is_loopback(host):
        raise CannotServe(
            f"{host} can be reached from other machines, so API keys are needed: "
            "make one with `identity-graph keys new`, or listen on 127.0.0.1"
        )
    listening = bound(host, port)
    failure: list[Exception] = []

    def failed(error: Exception) -> None:
        failure.append(error)
        server.should_exit = True

    def warm() -> None:
        # What lives as long as the process need not be looked at by each collection of garbage: a fifth of the time.
        gc.collect()
        gc.freeze()
        # A request of 500 observations makes tens of thousands of objects, few in cycles: a twelfth of its time.
        gc.set_threshold(10_000, 10, 10)
        ready(address(listening))

    server = web_server(create_app(keys, services, warm, failed))
    # uvicorn raises the signal that ended it once more, after all is closed; an ordered end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _nothing)
    server.run(sockets=[listening])
    if failure:
        raise failure[0]


def web_server(app: FastAPI) -> uvicorn.Server:
    """What runs the application on a socket that listens."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
    )


def _nothing(_number: int, _frame: object) -> None:
    pass


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens, taken before anything slow begins."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as e:
        raise CannotServe(f"cannot listen on {host}, port {port}: {e.strerror}; choose another with --port") from None


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
