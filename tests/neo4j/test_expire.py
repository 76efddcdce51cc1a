"""Retention: what events were is forgotten, in small steps, and nothing else."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import neo4j
import pytest
from sending import said
from stored import read

from identity_graph.domain.decision import Accepted
from identity_graph.domain.events import DAY, Declared, What
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH
from identity_graph.domain.rules import Rules
from identity_graph.services.expire import Expiry, expire
from identity_graph.services.journey import Journeys, Some
from identity_graph.services.lookup import Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.submit import write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph

RULES = Rules()


@pytest.fixture
def told(graph: Graph) -> list[Observation]:
    """Ten days of pages and purchases of two people, a page and a purchase each a day."""
    found = [
        said(
            f"{who}-{type}-{day}",
            f"cookie_id:{who}",
            observedAt=(EPOCH + timedelta(days=day)).isoformat(),
            event={"type": type, "properties": {"value": 1}},
        )
        for who in ("ada", "bob")
        for type in ("page", "purchase")
        for day in range(10)
    ]
    write_batch(graph, found, RULES)
    return found


@pytest.fixture
def journeys(graph: Graph) -> Iterator[Journeys]:
    with ThreadPoolExecutor(1) as readers:
        yield Journeys(graph, RULES, readers)


def keeping(days: dict[str, int]) -> Rules:
    return replace(RULES, retention=days)


def days_of(journeys: Journeys, graph: Graph, type: str) -> list[int]:
    ((rows,),) = graph.read("lookup/now", keys=["cookie_id:ada"])
    page = asyncio.run(journeys.page(rows[0][2], 50, Some((type,))))
    return [row.at // DAY for row in page.items]


@pytest.mark.parametrize("most", [1, 3, 100])
def test_events_older_than_their_days_are_forgotten(
    graph: Graph, driver: neo4j.Driver, journeys: Journeys, told: list[Observation], most: int
) -> None:
    before = read(driver)
    found = expire(graph, keeping({"page": 4, "none": 1}), 10 * DAY, lambda type, many: None, most)
    assert found == {"page": 12, "none": 0}
    assert days_of(journeys, graph, "page") == [9, 8, 7, 6]
    assert days_of(journeys, graph, "purchase") == list(range(10))[::-1]
    after = read(driver)
    forgotten = {id for id, o in after.observations.items() if not o["event"]}
    assert forgotten == {f"{who}-page-{day}" for who in ("ada", "bob") for day in range(6)}
    left = {"digest", "id", "keys", "observed_at", "result", "source", "at", "event"}
    assert all(after.observations[id].keys() == left for id in forgotten)
    gone = {"forgotten": 6, "forgotten_amount": 60_000}
    assert after.tallies == {key: t | (gone if t["type"] == "page" else {}) for key, t in before.tallies.items()}
    assert expire(graph, keeping({"page": 4}), 10 * DAY, lambda type, many: None, most) == {"page": 0}
    assert verify(graph, RULES).holds


def test_what_was_cut_off_is_done_by_the_next_run(graph: Graph, journeys: Journeys, told: list[Observation]) -> None:
    def cut_off(type: str, many: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        expire(graph, keeping({"page": 4}), 10 * DAY, cut_off, 1)
    assert expire(graph, keeping({"page": 4}), 10 * DAY, lambda type, many: None, 1) == {"page": 11}
    assert days_of(journeys, graph, "page") == [9, 8, 7, 6]


def test_a_forgotten_event_does_not_come_back_and_still_counts(
    graph: Graph, journeys: Journeys, told: list[Observation]
) -> None:
    expire(graph, keeping({"page": 4, "purchase": 1}), 10 * DAY, lambda type, many: None)
    answers, _ = write_batch(graph, told, RULES)
    assert all(isinstance(answer, Accepted) and answer.duplicate for answer in answers)
    assert days_of(journeys, graph, "page") == [9, 8, 7, 6]
    ((rows,),) = graph.read("lookup/now", keys=["cookie_id:ada"])
    always, kept = (asyncio.run(journeys.aggregates(rows[0][2], since)) for since in (None, 0))
    assert [(t.type, t.count) for t in always.totals] == [("page", 10), ("purchase", 10)]
    assert [(t.type, t.count) for t in kept.totals] == [("page", 4), ("purchase", 1)]
    assert always.lifetime_value == 100_000


def test_who_was_in_a_segment_by_forgotten_events_leaves_it(graph: Graph, told: list[Observation]) -> None:
    at = 10 * DAY
    segments = Segments(graph, RULES, lambda: at)
    often = {"events": {"type": "page", "withinDays": 20, "count": {"atLeast": 5}}}
    segments.define("readers", "", often, "test")
    segments.define("others", "", {"not": often}, "test")
    assert [size(graph, name) for name in ("readers", "others")] == [2, 0]
    expire(graph, keeping({"page": 4, "purchase": 1}), at, lambda type, many: None)
    assert [size(graph, name) for name in ("readers", "others")] == [0, 2]


def test_a_declared_aggregate_counts_what_is_kept_of_its_days_and_all_of_all_time(
    graph: Graph, told: list[Observation]
) -> None:
    at = 10 * DAY
    declared = {
        "recent": Declared("page", What.COUNT, 20),
        "ever": Declared("page", What.SUM),
        "all": Declared(days=20),
    }
    rules = replace(keeping({"page": 4}), aggregates=declared)
    segments = Segments(graph, rules, lambda: at)
    segments.define("readers", "", {"trait": {"name": "recent", "atLeast": 5}}, "test")
    segments.define("loyal", "", {"trait": {"name": "ever", "equals": 10}}, "test")
    segments.define("busy", "", {"trait": {"name": "all", "greaterThan": 19}}, "test")
    ((rows,),) = graph.read("lookup/now", keys=["cookie_id:ada"])

    def golden() -> dict[str, Any]:
        with ThreadPoolExecutor(1) as readers:
            profiles = Profiles(graph, rules, Lookup(graph, rules, readers), readers, lambda: at)
            found = asyncio.run(profiles.golden_record(rows[0][2]))
        return {one.name: one.chosen.value for one in found if one.name in declared}

    names = ("readers", "loyal", "busy")
    assert (golden(), [size(graph, name) for name in names]) == ({"recent": 10, "ever": 10, "all": 20}, [2, 2, 2])
    expire(graph, rules, at, lambda type, many: None)
    assert (golden(), [size(graph, name) for name in names]) == ({"recent": 4, "ever": 10, "all": 14}, [0, 2, 0])
    assert verify(graph, rules, clock=lambda: at).findings == {}


def test_a_service_forgets_by_itself_until_it_ends(graph: Graph, journeys: Journeys, told: list[Observation]) -> None:
    days = [10]
    service = Expiry(graph, keeping({"page": 4}), lambda: days[0] * DAY, every=0.05)
    service.start()
    try:
        wait_until(lambda: days_of(journeys, graph, "page") == [9, 8, 7, 6])
        days[0] = 12
        wait_until(lambda: days_of(journeys, graph, "page") == [9, 8])
    finally:
        service.close()
    days[0] = 20
    time.sleep(0.2)
    assert days_of(journeys, graph, "page") == [9, 8]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, "nothing happened in a minute"
        time.sleep(0.05)


def size(graph: Graph, name: str) -> int:
    return next(row[6] for row in graph.read("segment/list")[0][0] if row[0] == name)
