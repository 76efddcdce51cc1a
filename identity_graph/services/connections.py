"""Why two identifiers are one person's, or why they are not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_graph.domain.evidence import Refusal, RefusalCode
from identity_graph.domain.paths import strongest_path
from identity_graph.services.lookup import Found, Freshness, Lookup, Status
from identity_graph.services.profiles import LinkRow, Profiles
from identity_graph.store.graph import Graph

#: Refused links that are told of two profiles.
MOST_REFUSED = 20


@dataclass(frozen=True, slots=True)
class CannotLinkRow:
    """A cannot-link: who said it, why and when (microseconds since 1970)."""

    id: str
    actor: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps two profiles apart: a refused link, a person's word, or an idle identifier (neither of both)."""

    refusal: Refusal
    link: LinkRow | None = None
    word: CannotLinkRow | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """``path`` are the links of the strongest path, in order; empty where both are apart, or the same identifier.

    ``ends`` are the two as they were found; an invalid one is connected to nothing.
    """

    ends: tuple[Found, Found]
    connected: bool
    path: list[LinkRow]
    obstacles: list[Obstacle]


class Connections:
    """Explains why identifiers are together or apart."""

    def __init__(self, graph: Graph, profiles: Profiles, lookup: Lookup) -> None:
        self._graph, self._profiles, self._lookup = graph, profiles, lookup

    async def explain(self, asked: tuple[tuple[str, str], tuple[str, str]], fresh: Freshness) -> Connection:
        """Of two identifiers, each as namespace and raw value."""
        (one, other), path = await asyncio.gather(self._lookup.resolve(asked, fresh), self._path(asked, fresh))
        if one.profile and one.profile == other.profile:
            # They may have become one person's between both reads.
            return Connection((one, other), True, path or await self._path(asked, fresh), [])
        a, b = (f"{found.namespace}:{found.value}" for found in (one, other))
        obstacles = [
            Obstacle(Refusal(_IDLE[f.status], (key,))) for f, key in ((one, a), (other, b)) if f.status in _IDLE
        ]
        if one.holder and other.holder and not obstacles:
            obstacles = await self._between(one.holder, other.holder, fresh)
        return Connection((one, other), False, [], obstacles)

    async def _path(self, asked: Sequence[tuple[str, str]], fresh: Freshness) -> list[LinkRow]:
        """The links of the strongest path. Empty where there is none."""
        one, other = map(self._lookup.key, asked)
        if one is None or other is None or one == other:
            return []
        return await asyncio.to_thread(self._read_path, one, other, fresh)

    def _read_path(self, one: str, other: str, fresh: Freshness) -> list[LinkRow]:
        found = self._graph.read("link/of_pair", fresh.token, one=one, other=other)
        links = [(id, *ends, weight) for (rows,) in found for id, *ends, weight in rows]
        if not links:
            return []
        ids = strongest_path(links, one, other)
        return _in_order(ids, self._profiles.read_links(fresh, ids))

    async def _between(self, one: str, other: str, fresh: Freshness) -> list[Obstacle]:
        read = self._graph.read
        (words,), (refused,) = await asyncio.gather(
            asyncio.to_thread(read, "link/kept_apart", fresh.token, one=one, other=other),
            asyncio.to_thread(read, "link/refused_between", fresh.token, one=one, other=other, limit=MOST_REFUSED),
        )
        found = [
            Obstacle(Refusal(RefusalCode.CANNOT_LINK, (a, b)), word=CannotLinkRow(id, actor, reason, at))
            for id, a, b, actor, reason, at in sorted(words[0])
        ]
        for row in _in_order(refused[0], await self._profiles.links(refused[0], fresh)):
            if row.reason:
                found.append(Obstacle(Refusal(RefusalCode(row.reason), tuple(row.parties or ())), row))
        return found


def _in_order(ids: Sequence[str], rows: Mapping[str, LinkRow]) -> list[LinkRow]:
    return [rows[id] for id in ids if id in rows]


_IDLE = {Status.SHARED: RefusalCode.SHARED_IDENTIFIER, Status.BLOCKED: RefusalCode.BLOCKED_VALUE}
