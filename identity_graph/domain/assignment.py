"""Which profile id each part of a re-resolved component keeps.

When parts meet, the oldest profile's id survives; when a profile falls apart, the part that holds its oldest
identifier of the strongest namespace keeps the id. Where a merge is undone, the profile that ended in it comes back
to the part that holds its own oldest identifier, and the one that survived is looked for among the others.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from identity_graph.domain.evidence import Key
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Former:
    """A profile as it was before: its id, its creation (microseconds since 1970) and its members.

    Where a change of it is undone, ``own`` are the members of before that change: among them is its senior one.
    """

    id: str
    created_at: int
    members: frozenset[Key]
    own: frozenset[Key] = frozenset()

    @property
    def age(self) -> tuple[int, str]:
        return self.created_at, self.id


@dataclass(frozen=True, slots=True)
class Assigned:
    """A part, the former profile whose id it keeps (None: it needs a new one), and those that end in it."""

    part: frozenset[Key]
    survivor: Former | None
    absorbed: tuple[Former, ...]


def standing(key: Key, first_seen: int, rules: Rules) -> tuple[int, int, Key]:
    """By this identifiers are ordered, the senior one first: the strongest namespace, then the oldest."""
    return rules.rule(split_key(key)[0]).priority, first_seen, key


def assign(
    parts: Sequence[frozenset[Key]],
    formers: Iterable[Former],
    seniority: Callable[[Key], tuple[int | str, ...]],
    restored: Iterable[Former] = (),
) -> list[Assigned]:
    """Give every former profile's id to the part that holds its senior member; the least ``seniority`` is senior.

    ``restored`` are profiles that ended before, with the members that they had. They, and those that have members of
    their ``own``, come first; the others look for a part that none of these claims.
    """
    home = {key: index for index, part in enumerate(parts) for key in part}
    claims: dict[int, list[Former]] = defaultdict(list)
    heirs: dict[int, list[Former]] = defaultdict(list)
    ended, living = list(restored), list(formers)
    for former in (*ended, *(f for f in living if f.own)):
        claims[home[min(former.own or former.members, key=seniority)]].append(former)
    for former in living:
        if not former.own:
            elsewhere = [key for key in former.members if home[key] not in claims]
            heirs[home[min(elsewhere or former.members, key=seniority)]].append(former)
    gone = {former.id for former in ended}
    assigned: list[Assigned] = []
    for index, part in enumerate(parts):
        candidates = [f for found in (claims[index], heirs[index]) for f in sorted(found, key=lambda f: f.age)]
        survivor = candidates[0] if candidates else None
        assigned.append(Assigned(part, survivor, tuple(f for f in candidates[1:] if f.id not in gone)))
    return assigned
