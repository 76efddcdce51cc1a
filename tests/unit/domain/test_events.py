"""Events: what is taken, and that aggregates do not depend on order, on batches or on who was merged with whom."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.events import UNIT, Event, Tally, aggregates
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import MAX_PROPERTIES, Rejection, parse_observation
from identity_graph.domain.rules import Rules

RULES = Rules()


def parse(event: Any, *named: tuple[str, str], **more: Any) -> Observation | Rejection:
    identifiers = [{"namespace": n, "value": v} for n, v in named or [("cookie_id", "c1")]]
    raw = {"id": "1", "source": "web", "identifiers": identifiers, "event": event, **more}
    return parse_observation(raw, RULES, 1_700_000_000_000_000)


def taken(event: Any, *named: tuple[str, str], **more: Any) -> Observation:
    found = parse(event, *named, **more)
    assert isinstance(found, Observation)
    return found


# --- What is taken


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "page"}, Event("page", "{}")),
        ({"type": "page", "properties": None}, Event("page", "{}")),
        ({"type": "a_b.c:d-1", "properties": {"b": 1, "a": [2]}}, Event("a_b.c:d-1", '{"a":[2],"b":1}')),
        ({"type": "purchase", "properties": {"value": 12.345}}, Event("purchase", '{"value":12.345}', 123_450)),
        ({"type": "purchase", "properties": {"revenue": -3}}, Event("purchase", '{"revenue":-3}', -30_000)),
        ({"type": "x", "properties": {"value": "9", "revenue": 1}}, Event("x", '{"revenue":1,"value":"9"}', 10_000)),
        ({"type": "x", "properties": {"value": True}}, Event("x", '{"value":true}')),
    ],
)
def test_an_event_is_its_type_properties_and_amount(event: dict[str, Any], expected: Event) -> None:
    assert taken(event).event == expected


@pytest.mark.parametrize(
    ("event", "code", "path"),
    [
        ("page", "INVALID_OBSERVATION", ("event",)),
        ([], "INVALID_OBSERVATION", ("event",)),
        ({}, "INVALID_OBSERVATION", ("event", "type")),
        ({"type": "Page"}, "INVALID_OBSERVATION", ("event", "type")),
        ({"type": "x" * 65}, "INVALID_OBSERVATION", ("event", "type")),
        ({"type": "page\n"}, "INVALID_OBSERVATION", ("event", "type")),
        ({"type": "page", "at": 1}, "INVALID_OBSERVATION", ("event", "at")),
        ({"type": "page", "properties": [1]}, "INVALID_OBSERVATION", ("event", "properties")),
        ({"type": "page", "properties": {"a": {1}}}, "INVALID_OBSERVATION", ("event", "properties")),
        ({"type": "page", "properties": {"a": "x" * MAX_PROPERTIES}}, "PAYLOAD_TOO_LARGE", ("event", "properties")),
        ({"type": "buy", "properties": {"value": 1e10}}, "INVALID_OBSERVATION", ("event", "properties", "value")),
        ({"type": "buy", "properties": {"revenue": 2e9}}, "INVALID_OBSERVATION", ("event", "properties", "revenue")),
        (
            {"type": "buy", "properties": {"value": float("nan")}},
            "INVALID_OBSERVATION",
            ("event", "properties", "value"),
        ),
    ],
)
def test_what_is_wrong_with_an_event_is_named(event: object, code: str, path: tuple[str, ...]) -> None:
    found = parse(event)
    assert isinstance(found, Rejection)
    assert (found.code, found.path) == (code, path)


def test_an_event_needs_somebody() -> None:
    found = parse({"type": "page"}, ("cookie_id", "null"))
    assert isinstance(found, Rejection)
    assert (found.code, found.message) == (
        "INVALID_IDENTIFIER",
        "none of the identifiers can hold the event: all are junk values; give a recordId",
    )


def test_the_event_is_part_of_the_content() -> None:
    said: list[tuple[Any, Any]] = [
        (None, None),
        ({}, None),
        (None, {"type": "page"}),
        ({}, {"type": "page"}),
        (None, {"type": "page", "properties": {"a": 1}}),
        (None, {"type": "purchase"}),
    ]
    digests = {found.digest for traits, event in said if isinstance(found := parse(event, traits=traits), Observation)}
    assert len(digests) == len(said)
    assert taken({"type": "page"}).digest == taken({"type": "page", "properties": {}}).digest


# --- Aggregates


class Told(NamedTuple):
    """An event of the identifier ``by``."""

    by: int
    type: str
    source: str
    at: int
    amount: int | None


TOLD = st.builds(
    Told,
    st.integers(0, 5),
    st.sampled_from(["page", "purchase", "support"]),
    st.sampled_from(["app", "shop", "web"]),
    st.integers(0, 1_000),
    st.none() | st.integers(-(10**13), 10**13),
)


def tallied(events: Sequence[Told], batches: Sequence[int]) -> dict[int, list[Tally]]:
    """The tallies of each identifier, added up batch by batch as they are written."""
    kept: dict[tuple[int, str, str], Tally] = {}
    for number in sorted(set(batches)):
        batch: dict[tuple[int, str, str], Tally] = {}
        for event, of in zip(events, batches, strict=True):
            if of == number:
                place = (event.by, event.type, event.source)
                one = Tally.of(Event(event.type, "{}", event.amount), event.source, event.at)
                batch[place] = batch[place].plus(one) if place in batch else one
        for place, tally in batch.items():
            kept[place] = kept[place].plus(tally) if place in kept else tally
    found: dict[int, list[Tally]] = defaultdict(list)
    for (by, _, _), tally in kept.items():
        found[by].append(tally)
    return found


@given(st.data(), st.lists(TOLD, max_size=30), st.sets(st.integers(0, 5)))
def test_a_persons_aggregates_are_those_of_all_events_of_their_identifiers(
    data: st.DataObject, events: list[Told], members: set[int]
) -> None:
    """Whatever the order of arrival and the batches, for any identifiers that merges and splits may put together."""
    arrived = data.draw(st.permutations(events))
    batches = data.draw(st.lists(st.integers(0, 3), min_size=len(events), max_size=len(events)))
    tallies = tallied(arrived, batches)
    found = aggregates(tally for member in data.draw(st.permutations(sorted(members))) for tally in tallies[member])
    theirs = [event for event in events if event.by in members]
    assert {total.type for total in found.totals} == {event.type for event in theirs}
    for total in found.totals:
        some = [event for event in theirs if event.type == total.type]
        assert total.count == len(some)
        assert (total.first, total.last) == (min(e.at for e in some), max(e.at for e in some))
        assert total.amount == sum(e.amount or 0 for e in some)
        assert total.sources == tuple(sorted({e.source for e in some}))
    purchases = [event for event in theirs if event.type == "purchase"]
    assert found.lifetime_value == sum(e.amount or 0 for e in purchases)
    assert found.last_purchase == max((e.at for e in purchases), default=None)
    channels = [event.source for event in theirs]
    assert found.favourite_channel == min(channels, key=lambda name: (-channels.count(name), name), default=None)


def test_sums_are_exact_where_floats_are_not() -> None:
    tallies = [Tally.of(taken({"type": "purchase", "properties": {"value": 0.1}}).event or Event("", ""), "web", 1)] * 3
    assert aggregates(tallies).lifetime_value / UNIT == 0.3 != 0.1 + 0.1 + 0.1
