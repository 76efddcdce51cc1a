"""Whole profiles: golden records, events, segments and exports of a graph of people who did much."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from bench import product
from bench.harness import Figure, no_graphql_errors
from bench.journey import TYPES
from bench.product import Service, all_accepted, ask, submit_links
from bench.run import PROFILES_SEED, Run
from bench.streams import Key, Observation, write_jsonl

#: Events of each person in the first load, over so many days until now.
EVENTS, DAYS = 10, 120
#: Different people that are asked for.
ASKED = 5_000
#: Each segment is about people of one area, of this many.
AREAS = 500
SOURCES = ("web", "app", "shop")
COUNTRIES = ("NL", "BE", "DE", "FR", "DK")
PLANS = ("free", "pro", "team", "staff")

#: Five conditions: on traits, an aggregate, events in a number of days, and devices.
FIVE: dict[str, Any] = {
    "all": [
        {"trait": {"name": "country", "equals": "NL"}},
        {"trait": {"name": "lifetime_value", "atLeast": 50}},
        {"events": {"type": "page", "withinDays": 30, "count": {"atLeast": 2}}},
        {"identifiers": {"namespaceClass": "DEVICE", "atLeast": 1}},
        {"not": {"trait": {"name": "plan", "equals": "staff"}}},
    ]
}


def measure(run: Run) -> list[Figure]:
    many, segments, rows = run.sizes.profiles, run.sizes.segments, run.sizes.warm
    data_dir, first = run.folder / "profiles", run.folder / "profiles.jsonl"
    run.say(f"writing {many * EVENTS:,} events of {many:,} people")
    write_jsonl(first, life(many))
    run.say("loading them into an empty graph")
    loaded = product.ingest(first, many * EVENTS, data_dir)
    first.unlink()
    run.say("starting the service on it, and warming the database up")
    with run.serving(data_dir, f"{many:,} people with {many * EVENTS:,} events after the first load") as service:
        _ingest(run, data_dir, rows, "warming", events=True)
        run.say(f"ingest of {rows:,} events, warm")
        events = rows / _ingest(run, data_dir, rows, "events", events=True)
        with product.joined(data_dir) as connection:
            naive = run.naive_at(connection).best
        run.say("what golden records cost")
        bare, plain, shown = (
            _ingest(run, data_dir, rows, name, traits=traits)
            for name, traits in (("bare", None), ("plain", False), ("shown", True))
        )
        run.say("Customer360")
        whole = cycle([_whole(n) for n in random.Random(PROFILES_SEED).choices(range(many), k=ASKED)])
        times = run.times(service, whole, _is_whole)
        run.say("a segment of five conditions, as a whole")
        full = _as_a_whole(service, FIVE, 5)
        run.say(f"a change of one person, without segments and with {segments}")
        before = _changes(run, service, "before")
        one_by_one = _as_a_whole(service, _about(0), 5) * segments
        _define(service, segments)
        after = _changes(run, service, "after")
        run.say("exporting all profiles")
        exported = product.run("export", "profiles", "--out", run.folder / "profiles.parquet", "--data-dir", data_dir)
    known = f"{many:,} profiles"
    return [
        Figure(f"first load of {many * EVENTS:,} events of {known}", many * EVENTS / loaded.seconds, "events/s"),
        Figure("events, warm", events, "events/s", at_least=4000, baseline=naive),
        Figure("ingest of records, against records without traits", shown / plain, "×", at_most=1.25),
        Figure("ingest of records, against no records", shown / bare, "×"),
        Figure(f"Customer360 at {known}, p50", times.p50, "ms", at_most=15),
        Figure(f"Customer360 at {known}, p99", times.p99, "ms", at_most=60),
        Figure(f"five conditions over {known}", full, "s", at_most=3),
        Figure(
            f"{segments} segments that follow one change, p50",
            # Below the noise of both it is nothing, which nothing can be divided by.
            max(0.01, after - before),
            "ms",
            at_most=10,
            baseline=1000 * one_by_one,
        ),
        Figure(f"export of {known}", exported.printed["rows"] / exported.seconds, "profiles/s", at_least=20_000),
    ]


# ------------------------------------------------------------------------------------------------ people


def life(many: int) -> Iterator[Observation]:
    """What so many people did, one after the other: who they are comes with their first event."""
    drawn = random.Random(PROFILES_SEED)
    now = datetime.now(UTC)
    for person in range(many):
        for n in range(EVENTS):
            at = now - timedelta(days=DAYS * drawn.random())
            found = _said(f"life-{person}-{n}", person, drawn.randrange(2), at, _event(drawn))
            yield found if n else found | {"recordId": str(person), "traits": _traits(person, drawn)}


def _said(id: str, person: int, device: int, at: datetime, event: object = None) -> Observation:
    return {
        "id": id,
        "source": SOURCES[person % len(SOURCES)],
        "observedAt": at.isoformat(),
        "identifiers": [_login(person), {"namespace": "device_id", "value": f"d{device}-{person}"}],
        "event": event,
    }


def _login(person: int) -> Key:
    return {"namespace": "user_id", "value": f"person-{person}"}


def _event(drawn: random.Random) -> object:
    properties = {"path": f"/goods/{drawn.randrange(997)}", "value": drawn.randrange(1000) / 10}
    return {"type": drawn.choice(TYPES), "properties": properties}


def _traits(person: int, drawn: random.Random) -> dict[str, object]:
    return {
        "first_name": f"Name{person % 977}",
        "last_name": f"Surname{person % 7919}",
        "email": f"p{person}@mail.example",
        "country": COUNTRIES[person % len(COUNTRIES)],
        "plan": drawn.choice(PLANS),
        "area": f"area-{person % AREAS}",
        "points": drawn.randrange(10_000),
        "born": f"19{drawn.randrange(40, 99)}-0{drawn.randrange(1, 9)}-11",
        "newsletter": drawn.random() < 0.5,
        "likes": drawn.sample(("tea", "coffee", "cake", "books"), 2),
    }


# ------------------------------------------------------------------------------------------------ ingest


def _ingest(
    run: Run, data_dir: Path, rows: int, name: str, *, events: bool = False, traits: bool | None = None
) -> float:
    """The seconds that so many more observations of known people take: with events, or with a record each.

    ``traits``: whether records say anything; None for no records.
    """
    drawn, path = random.Random(name), run.folder / f"profiles-{name}.jsonl"
    now = datetime.now(UTC)

    def lines() -> Iterator[Observation]:
        for n in range(rows):
            person = drawn.randrange(run.sizes.profiles)
            found = _said(f"{name}-{n}", person, n % 2, now, _event(drawn) if events else None)
            told = (
                {}
                if traits is None
                else {"recordId": f"{name}-{n}", "traits": _traits(person, drawn) if traits else {}}
            )
            yield found | told

    write_jsonl(path, lines())
    seconds = product.ingest(path, rows, data_dir).seconds
    path.unlink()
    return seconds


# ------------------------------------------------------------------------------------------------ reading and segments


def _whole(person: int) -> bytes:
    return ask("Customer360", identifier=_login(person))


def _is_whole(status: int, body: bytes) -> bool:
    return no_graphql_errors(status, body) and b'"last_name"' in body


def _as_a_whole(service: Service, rule: dict[str, Any], times: int) -> float:
    """The median of the seconds in which a rule is evaluated over all profiles."""
    asked = ask("PreviewSegment", rule=rule, sample=0)
    service.load([asked], accept=no_graphql_errors)
    return median(service.load([asked] * times, accept=no_graphql_errors).latencies)


def _about(area: int) -> dict[str, Any]:
    """A rule that every purchase of anybody may turn, and that few people satisfy."""
    return {
        "all": [
            {"trait": {"name": "area", "equals": f"area-{area}"}},
            {"trait": {"name": "lifetime_value", "atLeast": 100 + area}},
            {"events": {"type": "purchase", "withinDays": 30 + area % 60, "count": {"atLeast": 1 + area % 2}}},
            {"seen": {"withinDays": 60}},
        ]
    }


def _define(service: Service, many: int) -> None:
    for area in range(many):
        said = {"name": f"area {area}", "rule": _about(area)}
        asked = ask("DefineSegment", input=said)
        service.load([asked], accept=lambda status, body: no_graphql_errors(status, body) and b"Rejected" not in body)


def _changes(run: Run, service: Service, name: str) -> float:
    """The median of the milliseconds in which one client's purchase of somebody is taken."""
    drawn = random.Random(name)
    now = datetime.now(UTC)

    def requests() -> Iterator[bytes]:
        n = 0
        while True:
            n += 1
            bought = {"type": "purchase", "properties": {"value": 5}}
            yield submit_links(
                [orjson.dumps(_said(f"{name}-{n}", drawn.randrange(run.sizes.profiles), n % 2, now, bought))]
            )

    return run.times(service, requests(), all_accepted).p50
