"""Which profile id each part of a re-resolved component keeps.

When parts meet, the oldest profile's id survives; when a profile falls apart, the part that holds its oldest
identifier of the strongest namespace keeps the id.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from identity_graph.domain.evidence import Key


@dataclass(frozen=True, slots=True)
class Former:
    """A profile as it was before: its id, its creation (microseconds since 1970) and its members."""

    id: str
    created_at: int
    members: frozenset[Key]

    @property
    def age(self) -> tuple[int, str]:
        return self.created_at, self.id


@dataclass(frozen=True, slots=True)
class Assigned:
    """A part, the former profile whose id it keeps (None: it needs a new one), and those that end in it."""

    part: frozenset[Key]
    survivor: Former | None
    absorbed: tuple[Former, ...]


def assign(
    parts: Sequence[frozenset[Key]], formers: Iterable[Former], seniority: Callable[[Key], tuple[int | str, ...]]
) -> list[Assigned]:
    """Give every former profile's id to the part that holds its senior member; the least ``seniority`` is senior."""
    home = {key: index for index, part in enumerate(parts) for key in part}
    heirs: dict[int, list[Former]] = defaultdict(list)
    for former in formers:
        heirs[home[min(former.members, key=seniority)]].append(former)
    assigned: list[Assigned] = []
    for index, part in enumerate(parts):
        oldest, *rest = sorted(heirs[index], key=lambda f: f.age) or [None]
        assigned.append(Assigned(part, oldest, tuple(f for f in rest if f)))
    return assigned
