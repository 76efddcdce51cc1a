"""Profiles as they are read: their state, members, records, golden record, devices and lineage.

Every loader here is shared by all requests, so a list of profiles costs as many statements as one. Times are
microseconds since 1970; an ``as_of`` among them answers from the closed membership intervals.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import orjson

from identity_graph.domain.decision import created_change_id
from identity_graph.domain.events import Aggregates
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.past import as_it_was, first_as_it_was, last_as_it_was
from identity_graph.domain.paths import CERTAIN, confidence
from identity_graph.domain.rules import Rules
from identity_graph.domain.survivorship import GoldenTrait, Traits, golden_record, with_aggregates, with_declared
from identity_graph.services.journey import DeclaredValues, asked_of, declared_values, summed
from identity_graph.services.lookup import END_OF_TIME, MAX_PROFILES, NOW, Coalesced, Found, Freshness, Lookup
from identity_graph.services.observe import Clock, from_text
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph

MAX_PAGE = 100
"""The most items of one page."""

MAX_MERGES = 1_000
"""The most merges of one tree: as many as a profile of the greatest size can have come by."""

#: Before the first item of a list that begins with the newest.
TOP: tuple[int, str] = (END_OF_TIME, "")


@dataclass(frozen=True, slots=True)
class ProfileState:
    """A profile's own properties. ``id`` is where the id that was asked for has led."""

    id: str
    status: str
    version: int
    size: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Member:
    """An identifier of a profile; None says that no source saw it, or that it is not kept when."""

    key: str
    first_seen: int | None
    last_seen: int | None
    sources: list[str]
    state: str
    is_device: bool


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record with its traits as submitted, as JSON text."""

    key: str
    source: str
    record_id: str | None
    traits: str
    observed_at: int


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link as stored; ``reason`` is a refusal code where its state is REFUSED.

    A matched link also has the ``levels`` of its comparisons as JSON; its source is the version of its model. When and
    how often it was seen is not kept of a moment, and None where it is told as of one.
    """

    id: str
    a: str
    b: str
    kind: str
    source: str
    state: str
    first_seen: int | None
    last_seen: int | None
    count: int | None
    weight: float | None
    reason: str | None
    parties: list[str] | None = None
    probability: float | None = None
    levels: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One entry of a lineage. ``participants`` are pairs of profile id and role; ``moved`` are keys.

    ``cause`` is LINK (with ``link`` and ``observation``), STEWARD (``actor``, ``reason``), RULES or
    MODEL (both with their ``version`` as well). ``by`` is that link, where it was read with the entry.
    """

    id: str
    kind: str
    at: int
    cause: str
    link: str | None
    observation: str | None
    actor: str | None
    reason: str | None
    version: str | None
    moved: list[str]
    participants: list[list[str]]
    by: LinkRow | None = None

    @classmethod
    def of(cls, row: Sequence[Any], at: int | None = None) -> "ChangeRow":
        """From a row of `lineage/page` or `lineage/changes`, as of a moment if there is one."""
        *told, by = row
        link = LinkRow(*by) if by else None
        if link and at is not None:
            link = replace(link, first_seen=None, last_seen=None, count=None)
        return cls(*told, by=link)

    @property
    def parties(self) -> list[tuple[str, str]]:
        """The participants in an order of their own: by role, then id."""
        return sorted(((id, role) for id, role in self.participants), key=lambda one: one[::-1])


@dataclass(frozen=True, slots=True)
class MergeRow:
    """A merge among a profile's ancestors: ``ended`` became part of ``into``; ``moved`` counts its identifiers then."""

    ended: str
    into: str
    change: str
    at: int
    moved: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in order, whether more follow, and how many there are in all."""

    items: list[Any]
    more: bool
    total: int


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device of a person, when it was last seen (None as of :class:`Member`), and how sure it is theirs (a
    probability).
    """

    key: str
    last_seen: int | None
    confidence: float


_Said = tuple[Sequence[Traits], Aggregates, DeclaredValues]
"""What sources and people say of a profile, what its events add up to, and what the rules declare of that."""

_Devices = tuple[list[tuple[str, int | None]], list[tuple[str, str, float | None]]]
"""Devices as (key, last seen), and, where some were matched, the links that hold the profile together."""


@dataclass(frozen=True, slots=True)
class _Window:
    """What pages of one batch have in common."""

    fresh: Freshness
    size: int


class Profiles:
    """Reads of profiles. Every method answers None or an empty page for an id that never was."""

    def __init__(self, graph: Graph, rules: Rules, lookup: Lookup, executor: Executor, clock: Clock = now) -> None:
        self._graph, self._rules, self._lookup, self._clock = graph, rules, lookup, clock
        self._rules_until: list[tuple[int, Rules]] | None = None
        self._states: Coalesced[str, ProfileState] = Coalesced(executor, self._load_states)
        self._members: Coalesced[tuple[str, str], Page] = Coalesced(executor, self._load_members, most=MAX_PROFILES)
        self._records: Coalesced[tuple[str, int, str], Page] = Coalesced(
            executor, self._load_records, most=MAX_PROFILES
        )
        self._said: Coalesced[str, _Said] = Coalesced(executor, self._load_said, most=MAX_PROFILES)
        self._lineages: Coalesced[tuple[str, int, str], Page] = Coalesced(
            executor, self._load_lineages, most=MAX_PROFILES
        )
        self._trees: Coalesced[str, list[MergeRow]] = Coalesced(executor, self._load_trees, most=MAX_PROFILES)
        self._changes: Coalesced[str, ChangeRow] = Coalesced(executor, self._load_changes)
        self._links: Coalesced[str, LinkRow] = Coalesced(executor, self.read_links)
        self._segments: Coalesced[str, list[tuple[str, int]]] = Coalesced(executor, self._load_segments)
        self._devices: Coalesced[str, _Devices] = Coalesced(executor, self._load_devices, most=MAX_PROFILES)

    async def state(self, id: str, fresh: Freshness = NOW) -> ProfileState | None:
        """The profile to which the id leads: itself, or the one it was merged into."""
        found = await self._states.one(fresh, id)
        return None if found is None or found.created_at > (fresh.as_of or END_OF_TIME) else found

    async def by_identifier(self, namespace: str, raw: str, fresh: Freshness = NOW) -> Found:
        (found,) = await self._lookup.resolve([(namespace, raw)], fresh)
        return found

    async def members(self, id: str, first: int, after: str = "", fresh: Freshness = NOW) -> Page:
        """A page of :class:`Member` in the order of their keys."""
        return await self._members.one(_Window(fresh, first), (id, after)) or EMPTY

    async def records(self, id: str, first: int, after: tuple[int, str] | None = None, fresh: Freshness = NOW) -> Page:
        """A page of :class:`RecordRow`, newest first; ``after`` is the time and key of the one before the page."""
        return await self._records.one(_Window(fresh, first), (id, *(TOP if after is None else after))) or EMPTY

    async def golden_record(self, id: str, fresh: Freshness = NOW) -> list[GoldenTrait]:
        """What survived of what sources and people say, and what the person's events add up to, by name."""
        said, found, declared = await self._said.one(fresh, id) or ((), Aggregates(), {})
        rules = self._rules if fresh.as_of is None else await asyncio.to_thread(self._rules_at, fresh.as_of)
        golden = with_aggregates(golden_record(said, rules.traits, rules.default_region), found)
        return golden if fresh.as_of is not None else with_declared(golden, rules.aggregates, declared)

    def _rules_at(self, at: int) -> Rules:
        """The rules that the graph followed then. They are read once: by other rules there is another reader."""
        if self._rules_until is None:
            rows = self._graph.read("rules/history")
            self._rules_until = [(until, Rules.from_json(text)) for until, _, text, *_ in rows]
        return next((rules for until, rules in self._rules_until if at < until), self._rules)

    async def segments(self, id: str, fresh: Freshness = NOW) -> list[tuple[str, int]]:
        """The segments that a profile is in, by name, each with the moment since when."""
        return await self._segments.one(fresh, id) or []

    async def lineage(self, id: str, first: int, after: tuple[int, str] | None = None, fresh: Freshness = NOW) -> Page:
        """A page of :class:`ChangeRow`, newest first: all that happened to the profile and to those merged into it."""
        return await self._lineages.one(_Window(fresh, first), (id, *(TOP if after is None else after))) or EMPTY

    async def merge_tree(self, id: str, fresh: Freshness = NOW) -> list[MergeRow]:
        """The merges that made the profile what it is, newest first; at most :data:`MAX_MERGES`."""
        return await self._trees.one(fresh, id) or []

    async def change(self, id: str, fresh: Freshness = NOW) -> ChangeRow | None:
        return await self._changes.one(fresh, id)

    async def graph_changes(self, first: int) -> list[tuple[str, str]]:
        """The newest changes of the graph as a whole, as id and kind."""
        rows = await asyncio.to_thread(self._graph.read, "lineage/graph", limit=first)
        return [(id, kind) for id, kind in rows]

    async def link(self, id: str, fresh: Freshness = NOW) -> LinkRow | None:
        return await self._links.one(fresh, id)

    async def links(self, ids: Sequence[str], fresh: Freshness = NOW) -> Mapping[str, LinkRow]:
        """Those of these links that there are, by id, and perhaps others."""
        return await self._links.many(fresh, ids) if ids else {}

    def _load_states(self, fresh: Freshness, ids: list[str]) -> Mapping[str, ProfileState]:
        if fresh.as_of is None:
            ((rows,),) = self._graph.read("profile/state", token=fresh.token, ids=ids)
            return {row[0]: ProfileState(*row[1:]) for row in rows}
        found: dict[str, ProfileState] = {}
        ids_then = {id: id for id in ids}
        # An id leads on from merge to merge, each later than the one before, so this ends.
        while ids_then:
            ((rows,),) = self._graph.read(
                "profile/state_as_of", token=fresh.token, ids=sorted(set(ids_then.values())), at=fresh.as_of
            )
            states = {row[0]: row for row in rows}
            led_on: dict[str, str] = {}
            for asked, then in ids_then.items():
                if then not in states:
                    continue
                _, survivor, state = states[then]
                if survivor is None:
                    found[asked] = ProfileState(*state)
                else:
                    led_on[asked] = survivor
            ids_then = led_on
        return found

    def _load_members(self, window: _Window, asked: list[tuple[str, str]]) -> Mapping[tuple[str, str], Page]:
        ((rows,),) = self._read_page("profile/members", window, asked)
        at = window.fresh.as_of
        return {
            (id, after): _page(window, total, [self._member(at, *row) for row in items])
            for id, after, total, items in rows
        }

    def _member(
        self,
        at: int | None,
        key: str,
        first_seen: int,
        last_seen: int,
        sources: str,
        state: str,
        was: str | None = None,
        firsts: Sequence[int] | None = None,
        last_since: int | None = None,
    ) -> Member:
        first: int | None = first_seen
        last: int | None = last_seen
        if at is not None:
            state, sources = as_it_was(state, sources, was, at)
            first, last = first_as_it_was(first_seen, firsts, at), last_as_it_was(last_seen, last_since, at)
        if not sources:
            first = last = None
        is_device = self._rules.rule(split_key(key)[0]).is_device
        return Member(key, first, last, from_text(sources), state, is_device)

    def _load_records(self, window: _Window, asked: list[tuple[str, int, str]]) -> Mapping[tuple[str, int, str], Page]:
        ((rows,),) = self._read_page("profile/records", window, asked)
        return {
            (id, at, key): _page(window, total, [RecordRow(*row) for row in items])
            for id, at, key, total, items in rows
        }

    def _load_lineages(self, window: _Window, asked: list[tuple[str, int, str]]) -> Mapping[tuple[str, int, str], Page]:
        at = window.fresh.as_of
        ((rows,),) = self._graph.read(
            "lineage/page", token=window.fresh.token, rows=asked, limit=window.size + 1, at=at or END_OF_TIME
        )
        return {
            (id, before, key): _page(window, total, [ChangeRow.of(item, at) for item in items])
            for id, before, key, total, items in rows
        }

    def _read_page(self, name: str, window: _Window, asked: list[Any]) -> list[tuple[Any, ...]]:
        token, limit = window.fresh.token, window.size + 1
        if window.fresh.as_of is None:
            return self._graph.read(name, token=token, rows=asked, limit=limit)
        return self._graph.read(f"{name}_as_of", token=token, rows=asked, limit=limit, at=window.fresh.as_of)

    def _load_said(self, fresh: Freshness, ids: list[str]) -> Mapping[str, _Said]:
        if fresh.as_of is None:
            ((rows,),) = self._graph.read("record/traits", token=fresh.token, ids=ids)
            declared = self._load_declared(fresh, ids)
            return {id: (_traits(items), summed(*sums), declared.get(id, {})) for id, items, *sums in rows}
        # What of the events was known then is not kept, and the past does not change.
        ((rows,),) = self._graph.read("record/traits_as_of", token=fresh.token, ids=ids, at=fresh.as_of)
        return {id: (_traits(items), Aggregates(), {}) for id, items in rows}

    def _load_declared(self, fresh: Freshness, ids: list[str]) -> Mapping[str, DeclaredValues]:
        if not self._rules.aggregates:
            return {}
        at, declared = self._clock(), self._rules.aggregates
        ((rows,),) = self._graph.read("event/declared", token=fresh.token, ids=ids, asked=asked_of(declared, at))
        return declared_values(declared, at, rows)

    def _load_segments(self, fresh: Freshness, ids: list[str]) -> Mapping[str, list[tuple[str, int]]]:
        if fresh.as_of is None:
            ((rows,),) = self._graph.read("segment/of_profiles", token=fresh.token, ids=ids)
        else:
            ((rows,),) = self._graph.read("segment/of_profiles_as_of", token=fresh.token, ids=ids, at=fresh.as_of)
        return {id: [(name, entered) for name, entered in items] for id, items in rows}

    def _load_trees(self, fresh: Freshness, ids: list[str]) -> Mapping[str, list[MergeRow]]:
        ((rows,),) = self._graph.read("lineage/tree", token=fresh.token, ids=ids, limit=MAX_MERGES)
        return {id: [MergeRow(*merge) for merge in merges] for id, merges in rows}

    def _load_changes(self, fresh: Freshness, ids: list[str]) -> Mapping[str, ChangeRow]:
        made = [id.removeprefix(CREATED) for id in ids if id.startswith(CREATED)]
        kept = [id for id in ids if not id.startswith(CREATED)]
        found: dict[str, ChangeRow] = {}
        if kept:
            ((rows,),) = self._graph.read("lineage/changes", token=fresh.token, ids=kept)
            found = {row[0]: ChangeRow.of(row) for row in rows}
        if made:
            ((rows,),) = self._graph.read("lineage/creations", token=fresh.token, ids=made)
            for id, at, link, observation in rows:
                found[CREATED + id] = _creation(id, at, link, observation)
        return found

    def read_links(self, fresh: Freshness, ids: list[str]) -> Mapping[str, LinkRow]:
        """What :meth:`links` gives, at once: for a thread that waits for the database anyway."""
        ((rows,),) = self._graph.read("link/details", token=fresh.token, ids=ids)
        return {row[0]: LinkRow(*row) for row in rows}

    async def devices(self, namespace: str, raw: str, fresh: Freshness = NOW) -> tuple[Found, list[DeviceRow]]:
        """Who is behind a device, or was then, and the other devices of that person, last seen first, then those of
        which it is not known.

        How sure a device of the past is, is told by what is known by now of the members of then.
        """
        found = await self.by_identifier(namespace, raw, fresh)
        if found.profile is None:
            return found, []
        known = await self._devices.one(fresh, found.profile)
        rows, links = known or ([], [])
        start = f"{found.namespace}:{found.value}"
        sure = confidence(links, start)
        devices = [DeviceRow(key, seen, sure.get(key, 0.0) if links else CERTAIN) for key, seen in rows if key != start]
        return found, sorted(devices, key=lambda d: (-(d.last_seen or 0), d.key))

    def _load_devices(self, fresh: Freshness, ids: list[str]) -> Mapping[str, _Devices]:
        if fresh.as_of is None:
            ((rows,),) = self._graph.read("device/of_profile", token=fresh.token, ids=ids)
        else:
            ((rows,),) = self._graph.read("device/of_profile_as_of", token=fresh.token, ids=ids, at=fresh.as_of)
        found: dict[str, _Devices] = {}
        for id, devices, links in rows:
            members = [self._member(fresh.as_of, *row) for row in devices]
            found[id] = [(member.key, member.last_seen) for member in members], links
        return found


EMPTY = Page([], False, 0)

CREATED = created_change_id("")
"""Before a profile's id this is the id of its creation, which is derived: as a node it would double the profiles."""


def _page(window: _Window, total: int, items: list[Any]) -> Page:
    """The items asked for, of which one more was read to see whether there are more."""
    return Page(items[: window.size], len(items) > window.size, total)


def _traits(items: Sequence[Sequence[Any]]) -> list[Traits]:
    return [Traits(source, at, orjson.loads(text), *more) for source, at, text, *more in items]


def _creation(id: str, at: int, link: str | None, observation: str | None) -> ChangeRow:
    return ChangeRow(CREATED + id, "CREATED", at, "LINK", link, observation, None, None, None, [], [[id, "CREATED"]])
