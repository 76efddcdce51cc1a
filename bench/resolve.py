"""Look-ups over HTTP: by GraphQL and by POST /v1/resolve, one and in lists, in a small profile and in a big one."""

from collections.abc import Callable, Iterable
from itertools import chain, cycle, islice

import orjson

from bench.harness import Figure, Load, percentiles
from bench.product import Service, all_accepted, all_resolved, resolve_graphql, resolve_http, submit_links
from bench.run import CLIENTS, LARGE_SEED, Run
from bench.streams import Key, lookups

A_LIST = 1000
#: Different identifiers that are asked for one a request.
ASKED = 20_000
#: Different requests with a list.
LISTS = 20
#: The identifiers that one observation may have.
MOST = 20

Request = Callable[[list[Key]], bytes]


def measure(run: Run) -> list[Figure]:
    service, naive, seconds = run.service, run.naive, run.sizes.seconds
    keys = list(lookups(run.sizes.identifiers, ASKED, seed=LARGE_SEED))

    def one(request: Request, clients: int) -> Load:
        return _warm(service, [request([key]) for key in keys], clients, seconds, 1)

    def lists(request: Request) -> float:
        """Identifiers a second."""
        asked = [request(keys[at * A_LIST :][:A_LIST]) for at in range(LISTS)]
        return _warm(service, asked, CLIENTS, seconds, A_LIST).rate * A_LIST

    run.say("Resolve by GraphQL")
    alone, together, in_lists = one(resolve_graphql, 1), one(resolve_graphql, 32), lists(resolve_graphql)
    run.say("POST /v1/resolve")
    lean, lean_lists = one(resolve_http, 32), lists(resolve_http)
    run.say("look-ups in a profile of 10 and in one of 1,000")
    small, big = by_size(service, seconds)

    reads = naive.reads[32].rate
    naive_alone, naive_together = (percentiles(naive.reads[clients].latencies) for clients in (1, 32))
    naive_small, naive_big = (percentiles(load.latencies).p50 for load in (naive.small, naive.big))
    per_request, per_identifier = "requests/s", "identifiers/s"
    return [
        Figure("GraphQL, one client, p50", percentiles(alone.latencies).p50, "ms", at_most=3, baseline=naive_alone.p50),
        Figure("GraphQL, 32 clients", together.rate, per_request, at_least=1000, baseline=reads),
        Figure("GraphQL, 32 clients, p99", percentiles(together.latencies).p99, "ms", baseline=naive_together.p99),
        Figure(f"GraphQL, {A_LIST:,} a request", in_lists, per_identifier, at_least=10_000, baseline=reads),
        Figure("POST /v1/resolve, 32 clients", lean.rate, per_request, at_least=3500, baseline=reads),
        Figure("POST /v1/resolve, 32 clients, p99", percentiles(lean.latencies).p99, "ms", baseline=naive_together.p99),
        Figure(f"POST /v1/resolve, {A_LIST:,} a request", lean_lists, per_identifier, at_least=25_000, baseline=reads),
        Figure("in a profile of 10, one client, p50", small, "ms", baseline=naive_small),
        Figure("in a profile of 1,000, one client, p50", big, "ms", baseline=naive_big),
        Figure("profile of 1,000 against one of 10", big / small, "×", at_most=1.2, baseline=naive_big / naive_small),
    ]


def _warm(service: Service, requests: Iterable[bytes], clients: int, seconds: float, many: int) -> Load:
    """The requests over and over, after a warm-up; `many` is the identifiers that each must resolve."""
    asked, accept = cycle(requests), all_resolved(many)
    service.load(asked, clients=clients, seconds=seconds / 4, accept=accept)
    return service.load(asked, clients=clients, seconds=seconds, accept=accept)


def by_size(service: Service, seconds: float) -> tuple[float, float]:
    """The median look-up in a profile of 10 and in one of 1,000, in ms; the two take turns, so drift meets both."""
    members = [build_profile(service, size) for size in (10, 1000)]
    asked = chain.from_iterable(zip(*(cycle([resolve_http([key]) for key in keys]) for keys in members), strict=True))
    accept = all_resolved(1)
    service.load(islice(asked, 2000), accept=accept)
    load = service.load(asked, seconds=seconds, accept=accept)
    # The odd ones are those of the big profile: the warm-up had an even number.
    small, big = load.latencies[0::2], load.latencies[1::2]
    return percentiles(small).p50, percentiles(big).p50


def build_profile(service: Service, size: int) -> list[Key]:
    """A person with a login and as many cookies as make so many identifiers; returns the identifiers."""
    login = {"namespace": "user_id", "value": f"wide-{size}"}
    cookies = [{"namespace": "cookie_id", "value": f"wide-{size}-{n}"} for n in range(1, size)]
    lines = [
        orjson.dumps({"id": f"wide-{size}-{at}", "source": "web", "identifiers": [login, *cookies[at : at + MOST - 1]]})
        for at in range(0, len(cookies), MOST - 1)
    ]
    complete = b'"size":%d,' % size
    service.load([submit_links(lines)], accept=lambda status, body: all_accepted(status, body) and complete in body)
    return [login, *cookies]
