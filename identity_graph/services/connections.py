"""Why two identifiers are one person's, or why they are not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_graph.domain.evidence import Refusal, RefusalCode
from identity_graph.domain.paths import strongest_path
from identity_graph.services.lookup import Found, Freshness, Lookup, Status
from identity_graph.services.profiles import LinkRow, Profiles
from identity_graph.services.proposals import Proposal, Proposals
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

    ``ends`` are the two as they were found; an invalid one is connected to nothing. ``proposals`` are the open ones
    between both profiles, the surest first.
    """

    ends: tuple[Found, Found]
    connected: bool
    path: list[LinkRow]
    obstacles: list[Obstacle]
    proposals: list[Proposal]

    @property
    def unseen(self) -> list[str]:
        """The ends that were never observed, by their keys."""
        return [_key(found) for found in self.ends if found.status is Status.UNKNOWN]

    @property
    def message(self) -> str:
        """What was found, in a sentence."""
        if self.connected:
            return "They are one person's."
        if self.unseen:
            return " ".join(f"{key} was never observed." for key in dict.fromkeys(self.unseen))
        if self.obstacles:
            return "Something keeps them apart."
        if self.proposals:
            return "No evidence joins them so far, but the model proposes to."
        return "No evidence joins them."

    @property
    def would_join(self) -> list[str]:
        """What would let them be one person's, a sentence each."""
        words = [(o.word, o.refusal.parties) for o in self.obstacles if o.word]
        kept_apart = [
            f"Remove the cannot-link {word.id} between {a} and {b}, which {word.actor} set." for word, (a, b) in words
        ]
        # With the cannot-link goes what it refuses.
        refused = [
            f"Let {o.refusal.code} not refuse the link {o.link.id} from {o.link.a} to {o.link.b}: {o.refusal.message}"
            for o in self.obstacles
            if o.link and o.refusal.code is not RefusalCode.CANNOT_LINK
        ]
        proposed = [f"Decide the proposal {p.id} to merge them." for p in self.proposals if not p.blocked_by]
        return proposed + kept_apart + refused


class Connections:
    """Explains why identifiers are together or apart."""

    def __init__(self, graph: Graph, profiles: Profiles, lookup: Lookup, proposals: Proposals) -> None:
        self._graph, self._profiles, self._lookup, self._proposals = graph, profiles, lookup, proposals

    async def explain(self, asked: tuple[tuple[str, str], tuple[str, str]], fresh: Freshness) -> Connection:
        """Of two identifiers, each as namespace and raw value."""
        (one, other), path = await asyncio.gather(self._lookup.resolve(asked, fresh), self._path(asked, fresh))
        if one.profile and one.profile == other.profile:
            # They may have become one person's between both reads.
            return Connection((one, other), True, path or await self._path(asked, fresh), [], [])
        obstacles = [
            Obstacle(Refusal(_IDLE[found.status], (_key(found),))) for found in (one, other) if found.status in _IDLE
        ]
        proposals: list[Proposal] = []
        if one.holder and other.holder and not obstacles:
            obstacles, proposals = await asyncio.gather(
                self._between(one.holder, other.holder, fresh),
                asyncio.to_thread(self._proposals.between, one.holder, other.holder, fresh),
            )
        return Connection((one, other), False, [], obstacles, proposals)

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


def _key(found: Found) -> str:
    return f"{found.namespace}:{found.value}"


def _in_order(ids: Sequence[str], rows: Mapping[str, LinkRow]) -> list[LinkRow]:
    return [rows[id] for id in ids if id in rows]


_IDLE = {Status.SHARED: RefusalCode.SHARED_IDENTIFIER, Status.BLOCKED: RefusalCode.BLOCKED_VALUE}
