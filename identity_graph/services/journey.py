"""What people did: their events, page by page, and their aggregates.

Both are those of the identifiers that are a person's now, or were at ``as_of``. Times are microseconds since 1970.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from identity_graph.domain.events import Aggregates, Declared, Tally, aggregates
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.rules import Rules
from identity_graph.services.lookup import END_OF_TIME, MAX_PROFILES, NOW, Coalesced, Freshness
from identity_graph.services.observe import from_text
from identity_graph.store.graph import Graph, Transaction

#: Where a page begins or ends: the time and the id of an event.
Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event; ``by`` is the key of the identifier that it belongs to, ``properties`` an object as JSON text.

    ``device`` is the key of the device that it was observed with, if any.
    """

    id: str
    type: str
    at: int
    source: str
    by: str
    device: str | None
    properties: str


@dataclass(frozen=True, slots=True)
class Some:
    """Which events: of these types (none: all), not before ``since``, and before ``until``."""

    types: tuple[str, ...] = ()
    since: int = 0
    until: int = END_OF_TIME


@dataclass(frozen=True, slots=True)
class _Window:
    fresh: Freshness
    size: int
    some: Some
    back: bool


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first, and whether there are more beyond the end at which the page was cut."""

    items: list[EventRow]
    more: bool


class Journeys:
    """Reads what people did."""

    def __init__(self, graph: Graph, rules: Rules, executor: Executor) -> None:
        self._graph, self._rules = graph, rules
        self._pages: Coalesced[tuple[str, int, str], EventPage] = Coalesced(
            executor, self._load_pages, most=MAX_PROFILES
        )
        self._aggregates: Coalesced[str, Aggregates] = Coalesced(executor, self._load_aggregates, most=MAX_PROFILES)

    async def page(
        self, id: str, size: int, some: Some, *, after: Place | None = None, back: bool = False, fresh: Freshness = NOW
    ) -> EventPage:
        """``size`` events of a profile that follow ``after``; with ``back`` those just before it."""
        at, event = after or (some.since if back else END_OF_TIME, "")
        return await self._pages.one(_Window(fresh, size, some, back), (id, at, event)) or EventPage([], False)

    async def aggregates(self, id: str, since: int | None = None, fresh: Freshness = NOW) -> Aggregates:
        """A profile's aggregates; with ``since`` those of the events from then on."""
        return await self._aggregates.one((fresh, since), id) or Aggregates()

    def _load_pages(
        self, window: _Window, asked: list[tuple[str, int, str]]
    ) -> Mapping[tuple[str, int, str], EventPage]:
        fresh, some = window.fresh, window.some
        ((rows,),) = self._graph.read(
            "event/page_back" if window.back else "event/page",
            token=fresh.token,
            rows=asked,
            types=some.types,
            since=some.since,
            until=min(some.until, END_OF_TIME if fresh.as_of is None else fresh.as_of + 1),
            at=END_OF_TIME if fresh.as_of is None else fresh.as_of,
            limit=window.size + 1,
        )
        return {(id, at, after): self._page(window, items) for id, at, after, items in rows}

    def _page(self, window: _Window, items: Sequence[Sequence[Any]]) -> EventPage:
        events = [
            EventRow(id, type, at, source, by, self._device(from_text(keys)), properties)
            for id, type, at, source, by, keys, properties in items[: window.size]
        ]
        return EventPage(events[::-1] if window.back else events, len(items) > window.size)

    def _device(self, keys: Iterable[str]) -> str | None:
        return next((key for key in keys if self._rules.rule(split_key(key)[0]).is_device), None)

    def _load_aggregates(self, group: tuple[Freshness, int | None], ids: list[str]) -> Mapping[str, Aggregates]:
        fresh, since = group
        return self._graph.read_many(lambda tx: facts(tx, ids, since, fresh.as_of), fresh.token)


def facts(
    tx: Transaction, ids: Sequence[str], since: int | None = None, as_of: int | None = None
) -> dict[str, Aggregates]:
    """The aggregates of profiles that exist, by id, in one statement.

    Without ``since`` and ``as_of`` they are summed from the tallies, which keep what retention has ended. Otherwise
    they are counted from the events that are kept: exact to the microsecond, but of some types some may be forgotten.
    """
    if since is None and as_of is None:
        rows = tx.one("event/tallies", ids=ids)
    else:
        rows = tx.one("event/tallies_between", ids=ids, since=since or 0, at=END_OF_TIME if as_of is None else as_of)
    return {id: summed(*sums) for id, *sums in rows}


def summed(first: int | None, last: int | None, tallies: Iterable[Sequence[Any]]) -> Aggregates:
    """Aggregates from what the database tells of a profile."""
    return aggregates((Tally(*tally) for tally in tallies), first, last)


DeclaredValues = Mapping[str, tuple[float, int]]
"""The values of declared aggregates by name, as far as somebody has them, each with the moment of the last event."""


def asked_of(declared: Mapping[str, Declared], at: int) -> list[tuple[str, int | None]]:
    """What `event/declared` is asked, so that aggregates are known as they are at a moment."""
    return list(dict.fromkeys((of.type, of.since(at)) for of in declared.values()))


def declared_values(
    declared: Mapping[str, Declared], at: int, rows: Iterable[Sequence[Any]]
) -> dict[str, DeclaredValues]:
    """The same by profile, from the rows that `event/declared` answers to that."""
    places = {asked: n for n, asked in enumerate(asked_of(declared, at))}
    of_place = {name: places[of.type, of.since(at)] for name, of in declared.items()}
    found: dict[str, DeclaredValues] = {}
    for id, sums in rows:
        by_place = {n: (many, amount, last) for n, many, amount, last in sums}
        found[id] = {
            name: (value, by_place[n][2])
            for name, n in of_place.items()
            if n in by_place and (value := declared[name].value(*by_place[n][:2])) is not None
        }
    return found
