"""Why two identifiers are one person's, or why they are not."""

import asyncio
from dataclasses import dataclass

from identity_graph.domain.evidence import Refusal, RefusalCode
from identity_graph.domain.paths import strongest_path
from identity_graph.services.lookup import Found, Freshness, Status
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
    """``path`` are the links of the strongest path, in order; empty where both are apart, or the same identifier."""

    connected: bool
    path: list[LinkRow]
    obstacles: list[Obstacle]


class Connections:
    """Explains why identifiers are together or apart."""

    def __init__(self, graph: Graph, profiles: Profiles) -> None:
        self._graph, self._profiles = graph, profiles

    async def explain(self, one: Found, other: Found, fresh: Freshness) -> Connection:
        a, b = (f"{found.namespace}:{found.value}" for found in (one, other))
        if one.profile and one.profile == other.profile:
            return Connection(True, await self._path(one.profile, a, b, fresh), [])
        obstacles = [
            Obstacle(Refusal(_IDLE[f.status], (key,))) for f, key in ((one, a), (other, b)) if f.status in _IDLE
        ]
        if one.holder and other.holder and not obstacles:
            obstacles = await self._between(one.holder, other.holder, fresh)
        return Connection(False, [], obstacles)

    async def _path(self, profile: str, a: str, b: str, fresh: Freshness) -> list[LinkRow]:
        ((links,),) = await asyncio.to_thread(self._graph.read, "link/of_profile", fresh.token, id=profile)
        ids = strongest_path([(id, *ends, weight) for id, *ends, weight in links], a, b)
        return await self._rows(ids, fresh)

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
        for row in await self._rows(refused[0], fresh):
            if row.reason:
                found.append(Obstacle(Refusal(RefusalCode(row.reason), tuple(row.parties or ())), row))
        return found

    async def _rows(self, ids: list[str], fresh: Freshness) -> list[LinkRow]:
        rows = await self._profiles.links(ids, fresh)
        return [rows[id] for id in ids if id in rows]


_IDLE = {Status.SHARED: RefusalCode.SHARED_IDENTIFIER, Status.BLOCKED: RefusalCode.BLOCKED_VALUE}
