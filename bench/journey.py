"""Events: files of them by `identity-graph ingest`, and pages of the journey of a person with very many."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle

import orjson

from bench import product
from bench.harness import Figure, no_graphql_errors
from bench.product import Service, all_accepted, ask, submit_links
from bench.run import EVENTS_SEED, Run
from bench.streams import Observation, observations, write_jsonl

#: What events are: mostly pages, as in life.
TYPES = ("page", "page", "page", "page", "view", "search", "cart", "purchase")
#: Events of the person with very many, on so many devices, one a minute.
MANY, DEVICES = 10_000, 3
A_LIST = 500
A_PAGE = 20
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def events(stream: Iterable[Observation]) -> Iterator[Observation]:
    """The same observations, each with an event."""
    for n, observation in enumerate(stream):
        properties = {"path": f"/goods/{n % 997}", "value": n % 1000 / 10}
        yield observation | {"event": {"type": TYPES[n % len(TYPES)], "properties": properties}}


def measure(run: Run) -> list[Figure]:
    service, rows = run.service, run.sizes.warm
    path = run.folder / "events.jsonl"
    write_jsonl(path, events(observations(n_observations=rows, seed=EVENTS_SEED)))
    run.say(f"ingest of {rows:,} events into the large graph, warm")
    outcome = product.ingest(path, rows, run.large.data_dir)
    run.say(f"pages of the journey of a person with {MANY:,} events")
    person = _person(service)
    pages = cycle([_page(person, number) for number in range(0, MANY, MANY // 20)])
    times = run.times(service, pages, _full)
    return [
        Figure("ingest of events, warm", rows / outcome.seconds, "events/s", at_least=4000),
        Figure(f"a page of {A_PAGE} of {MANY:,} events, one client, p50", times.p50, "ms", at_most=15),
        Figure(f"a page of {A_PAGE} of {MANY:,} events, one client, p99", times.p99, "ms", at_most=60),
    ]


def _person(service: Service) -> str:
    """Make the person known, and return their profile's id."""
    account = {"namespace": "user_id", "value": "journey"}
    devices = [{"namespace": "device_id", "value": f"journey-{n}"} for n in range(DEVICES)]
    joins = [_line(f"journey-join-{n}", 0, [account, device]) for n, device in enumerate(devices)]
    acts = [
        _line(f"journey-{n}", n, [devices[n % DEVICES]], {"type": TYPES[n % len(TYPES)], "properties": {"n": n}})
        for n in range(MANY)
    ]
    lists = [joins, *(acts[start : start + A_LIST] for start in range(0, MANY, A_LIST))]
    service.load([submit_links(lines) for lines in lists], accept=all_accepted)
    found: list[str] = []

    def accept(status: int, body: bytes) -> bool:
        if status != 200:
            return False
        found.append(orjson.loads(body)["results"][0]["profileId"])
        return True

    service.load([product.resolve_http([account])], accept=accept)
    return found[0]


def _line(id: str, minute: int, identifiers: list[dict[str, str]], event: object = None) -> bytes:
    at = (_BEGIN + timedelta(minutes=minute)).isoformat()
    return orjson.dumps({"id": id, "source": "app", "observedAt": at, "identifiers": identifiers, "event": event})


def _page(person: str, last: int) -> bytes:
    """The page that ends before the event of that number, or the newest for 0."""
    until = (_BEGIN + timedelta(minutes=last or MANY)).isoformat()
    return ask("Journey", profileId=person, first=A_PAGE, to=until)


def _full(status: int, body: bytes) -> bool:
    return no_graphql_errors(status, body) and body.count(b'"node":') == A_PAGE
