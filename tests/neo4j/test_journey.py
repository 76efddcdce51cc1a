"""Journeys and aggregates on the real database: what is read is what was said, and no more is read than is shown."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any

import neo4j
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sending import said
from stored import empty

from identity_graph.domain.decision import Accepted
from identity_graph.domain.events import Aggregates, Tally, aggregates
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import as_date
from identity_graph.services.expire import expire
from identity_graph.services.journey import EventRow, Journeys, Place, Some
from identity_graph.services.lookup import NOW, Freshness, Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph

RULES = Rules()
DEVICES = ("cookie_id:one", "cookie_id:two", "device_id:three")


@pytest.fixture
def journeys(migrated: Graph) -> Iterator[Journeys]:
    with ThreadPoolExecutor(1) as readers:
        yield Journeys(migrated, RULES, readers)


def happened(id: str, at: int, type: str, *keys: str, **more: Any) -> Observation:
    observed = (EPOCH + timedelta(microseconds=at)).isoformat()
    return said(id, *keys, observedAt=observed, event={"type": type, "properties": more.pop("properties", {})}, **more)


def walk(journeys: Journeys, id: str, size: int, some: Some, *, back: bool, fresh: Freshness = NOW) -> list[EventRow]:
    """All pages in one direction, put together as they stand: newest first."""
    pages: list[list[EventRow]] = []
    place: Place | None = None
    more = True
    while more:
        page = asyncio.run(journeys.page(id, size, some, after=place, back=back, fresh=fresh))
        more = page.more
        assert page.items or not more
        if page.items:
            pages.append(page.items)
            end = page.items[0] if back else page.items[-1]
            place = (end.at, end.id)
        assert len(page.items) == size or not more
    return list(chain.from_iterable(pages[::-1] if back else pages))


def profile_of(graph: Graph, key: str) -> str:
    return graph.read("lookup/now", keys=[key])[0][0][0][2]


EVENTS = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.integers(0, 6), st.sampled_from(["page", "buy", "call"])),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25)
@given(
    events=EVENTS,
    size=st.integers(1, 5),
    types=st.sets(st.sampled_from(["page", "buy", "none"])),
    span=st.tuples(st.integers(0, 6), st.integers(1, 7)),
)
def test_pages_of_either_direction_make_up_the_whole(
    migrated: Graph,
    driver: neo4j.Driver,
    events: Sequence[tuple[str, int, str]],
    size: int,
    types: set[str],
    span: tuple[int, int],
) -> None:
    """Of a person with three devices, some of whose events are of one moment."""
    empty(driver)
    told = [happened(f"e{n:02}", at, type, key) for n, (key, at, type) in enumerate(events)]
    write_batch(migrated, [*told, said("join", "user_id:u", DEVICES[0]), said("j2", "user_id:u", DEVICES[1])], RULES)
    write_batch(migrated, [said("j3", "user_id:u", DEVICES[2])], RULES)
    some = Some(tuple(sorted(types)), *span)
    wanted = sorted(
        (
            (o.observed_at, o.id)
            for o in told
            if o.event and (not types or o.event.type in types) and span[0] <= o.observed_at < span[1]
        ),
        reverse=True,
    )
    id = profile_of(migrated, "user_id:u")
    with ThreadPoolExecutor(1) as readers:
        for back in (False, True):
            found = walk(Journeys(migrated, RULES, readers), id, size, some, back=back)
            assert [(row.at, row.id) for row in found] == wanted


def test_a_journey_and_its_sums_follow_the_identifiers(graph: Graph, journeys: Journeys) -> None:
    """Two people turn out to be one; before that moment each had their own events."""
    write_batch(
        graph,
        [
            happened("a", 10, "page", "cookie_id:c", "device_id:d"),
            happened("b", 30, "purchase", "user_id:u", "device_id:e", properties={"value": 12.5}, source="shop"),
            happened("c", 20, "purchase", "user_id:u", properties={"value": 0.25}, source="shop"),
        ],
        RULES,
    )
    one, other = profile_of(graph, "cookie_id:c"), profile_of(graph, "user_id:u")
    apart = Freshness(as_of=now())
    ((answer,), _) = write_batch(graph, [said("join", "cookie_id:c", "user_id:u", observedAt="2026-01-01")], RULES)
    assert isinstance(answer, Accepted)
    assert answer.profile
    found = walk(journeys, answer.profile.id, 10, Some(), back=False)
    assert [(row.id, row.by, row.device, row.source) for row in found] == [
        ("b", "user_id:u", "device_id:e", "shop"),
        ("c", "user_id:u", None, "shop"),
        ("a", "device_id:d", "device_id:d", "web"),
    ]
    sums = asyncio.run(journeys.aggregates(answer.profile.id))
    assert (sums.lifetime_value, sums.last_purchase, sums.favourite_channel) == (127_500, 30, "shop")
    assert sums.first_seen == 10
    assert sums.last_seen == 1_767_225_600_000_000
    for id, events in ((one, ["a"]), (other, ["b", "c"])):
        before = walk(journeys, id, 10, Some(), back=False, fresh=apart)
        assert [row.id for row in before] == events
        total = sum(t.count for t in asyncio.run(journeys.aggregates(id, fresh=apart)).totals)
        assert total == len(events)
    assert asyncio.run(journeys.aggregates(other, fresh=Freshness(as_of=apart.as_of))).lifetime_value == 127_500
    windowed = asyncio.run(journeys.aggregates(answer.profile.id, since=20))
    assert [(t.type, t.count, t.first, t.last) for t in windowed.totals] == [("purchase", 2, 20, 30)]


def golden(graph: Graph, id: str, as_of: int | None = None) -> dict[str, tuple[Any, int]]:
    """The aggregates of a golden record, each with the moment as of which it is."""
    with ThreadPoolExecutor(1) as readers:
        profiles = Profiles(graph, RULES, Lookup(graph, RULES, readers), readers)
        record = asyncio.run(profiles.golden_record(id, Freshness(as_of=as_of)))
    assert all((one.rule, one.chosen.source, one.alternatives) == ("aggregate", "aggregate", ()) for one in record)
    return {one.name: (one.chosen.value, one.chosen.observed_at) for one in record}


def test_a_golden_record_has_the_aggregates_of_now_and_none_of_the_past(graph: Graph) -> None:
    """An event that comes late, or is taken back, would change what was."""
    write_batch(
        graph,
        [
            happened("a", 10, "page", "user_id:u", source="app"),
            happened("b", 20, "purchase", "user_id:u", properties={"value": 3}),
            happened("c", 30, "purchase", "user_id:u", properties={"value": 4}),
        ],
        RULES,
    )
    id = profile_of(graph, "user_id:u")
    assert golden(graph, id) == {
        "favourite_channel": ("web", 30),
        "first_seen": (as_date(10), 30),
        "last_purchase": (as_date(30), 30),
        "last_seen": (as_date(30), 30),
        "lifetime_value": (7, 30),
    }
    assert golden(graph, id, now()) == {}
    expire(graph, replace(RULES, retention={"page": 1, "purchase": 1}), now(), lambda type, many: None)
    assert golden(graph, id)["lifetime_value"] == (7, 30)


def test_an_event_that_is_sent_again_counts_once(graph: Graph, journeys: Journeys) -> None:
    event = happened("a", 10, "purchase", "user_id:u", properties={"value": 1})
    write_batch(graph, [event, event], RULES)
    write_batch(graph, [event], RULES)
    sums = asyncio.run(journeys.aggregates(profile_of(graph, "user_id:u")))
    assert (sums.lifetime_value, [t.count for t in sums.totals]) == (10_000, [1])


HISTORY = st.lists(
    st.tuples(
        st.lists(st.sampled_from([*(f"user_id:{n}" for n in "abc"), *(f"cookie_id:{n}" for n in "abcd")]), min_size=1),
        st.integers(0, 9),
        st.sampled_from([None, "page", "purchase"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25)
@given(history=HISTORY, cut=st.integers(0, 12))
def test_aggregates_are_those_of_all_events_whatever_merged_and_fell_apart(
    migrated: Graph, driver: neo4j.Driver, history: Sequence[tuple[list[str], int, str | None]], cut: int
) -> None:
    """Cookies change hands between accounts, so profiles merge and split; tallies and events tell the same."""
    empty(driver)
    told = [
        said(
            f"o{n}",
            *dict.fromkeys(keys),
            observedAt=(EPOCH + timedelta(microseconds=at)).isoformat(),
            event=type and {"type": type, "properties": {"value": n / 10}},
        )
        for n, (keys, at, type) in enumerate(history)
    ]
    for batch in (told[:cut], told[cut:]):
        if batch:
            write_batch(migrated, batch, RULES)
    with driver.session() as session:
        members = session.run("MATCH (i)-[:MEMBER_OF]->(p) RETURN p.id AS id, collect(i.key) AS keys").values()
    with ThreadPoolExecutor(1) as readers:
        journeys = Journeys(migrated, RULES, readers)
        for id, keys in members:
            theirs = [o for o in told if o.event and o.anchor and o.anchor.key in keys]
            wanted = aggregates([Tally.of(o.event, o.source, o.observed_at) for o in theirs if o.event])
            summed, counted = (asyncio.run(journeys.aggregates(id, since)) for since in (None, 0))
            assert joined(summed) == joined(counted) == joined(wanted)


def joined(found: Aggregates) -> list[Any]:
    return [(t.type, t.count, t.first, t.last, t.amount, t.sources) for t in found.totals] + [found.favourite_channel]
