"""Finding people by what somebody types: a name, an e-mail address, a phone number or any id."""

import asyncio
from dataclasses import dataclass

from identity_graph.domain.rules import Rules
from identity_graph.domain.search import full_name, key_prefixes, words_query
from identity_graph.services.lookup import NOW, Freshness
from identity_graph.store.graph import Graph


@dataclass(frozen=True, slots=True)
class Hit:
    """A profile that was found. ``key`` is the identifier that it was found by, None where it was its name."""

    profile: str
    name: str | None
    key: str | None = None
    email: str | None = None


class Search:
    """Finds profiles by text."""

    def __init__(self, graph: Graph, rules: Rules) -> None:
        self._graph, self._rules = graph, rules

    async def find(self, text: str, first: int, fresh: Freshness = NOW) -> list[Hit]:
        """At most ``first`` profiles, each once: those with such an identifier by its key, then by name, best first.

        Names follow a write a moment later.
        """
        query, prefixes = words_query(text), key_prefixes(text, self._rules)
        keyed, named = await asyncio.gather(
            asyncio.to_thread(self._by_key, prefixes, first, fresh),
            asyncio.to_thread(self._by_name, query, first, fresh),
        )
        found: dict[str, Hit] = {}
        for hit in (*keyed, *named):
            found.setdefault(hit.profile, hit)
        return list(found.values())[:first]

    def _by_key(self, prefixes: list[str], first: int, fresh: Freshness) -> list[Hit]:
        if not prefixes:
            return []
        ((rows,),) = self._graph.read("search/keys", fresh.token, prefixes=prefixes, limit=first)
        hits = [Hit(id, full_name(parts, whole), key) for key, id, *parts, whole in rows]
        return sorted(hits, key=lambda hit: (hit.key not in prefixes, hit.key))

    def _by_name(self, query: str | None, first: int, fresh: Freshness) -> list[Hit]:
        if query is None:
            return []
        ((rows,),) = self._graph.read("search/names", fresh.token, query=query, limit=first)
        return [
            Hit(id, full_name(parts, whole), None, email if isinstance(email, str) else None)
            for id, *parts, whole, email in rows
        ]
