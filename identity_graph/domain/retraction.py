"""What is left of the evidence when observations are taken back: as if they had never been made."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from identity_graph.domain.decision import Claim
from identity_graph.domain.evidence import Key, LinkKind, link_id
from identity_graph.domain.partition import partner_that_counts
from identity_graph.domain.rules import Rules


@dataclass(frozen=True, slots=True)
class Said:
    """An observation as stored: who said when that these identifiers, sorted by key, belong together.

    ``digest`` names its content. Times are microseconds since 1970.
    """

    id: str
    digest: str
    source: str
    observed_at: int
    keys: tuple[Key, ...]

    @property
    def pairs(self) -> Iterator[tuple[Key, Key, str]]:
        """Both ends and the id of each of its links."""
        for a, b in combinations(self.keys, 2):
            yield a, b, link_id(a, b, LinkKind.OBSERVED, self.source)


@dataclass(frozen=True, slots=True)
class Sight:
    """When an identifier was seen first and last, and by which sources, sorted."""

    first_seen: int
    last_seen: int
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remains:
    """Links that observations still support, as a whole, and those that none does; identifiers likewise.

    ``partners`` are those that count for an identifier's fan-out, sorted, of each that the retracted ones were about.
    """

    corrected: tuple[Claim, ...]
    withdrawn: tuple[Claim, ...]
    seen: Mapping[Key, Sight]
    unseen: frozenset[Key]
    partners: Mapping[Key, tuple[Key, ...]]


def remains(taken: Sequence[Said], rest: Iterable[Said], rules: Rules) -> Remains:
    """``rest`` are all other observations that hold an identifier of the ``taken`` ones.

    The claims of ``withdrawn`` say what the taken observations had said; ``observation`` is the newest of them.
    """
    links = _links(taken)
    keys = {key for said in taken for key in said.keys}
    still = [said for said in rest if not keys.isdisjoint(said.keys)]
    left = _links(still)
    sights: dict[Key, list[Said]] = defaultdict(list)
    for said in still:
        for key in keys.intersection(said.keys):
            sights[key].append(said)
    partners: dict[Key, set[Key]] = {key: set() for key in keys}
    for claim in left.values():
        if rules.is_blocked_key(claim.a) or rules.is_blocked_key(claim.b):
            continue
        for key, other in ((claim.a, claim.b), (claim.b, claim.a)):
            if key in keys and partner_that_counts(key, other, rules):
                partners[key].add(other)
    return Remains(
        tuple(left[id] for id in sorted(links.keys() & left.keys())),
        tuple(links[id] for id in sorted(links.keys() - left.keys())),
        {key: _sight(sights[key]) for key in sorted(sights)},
        frozenset(keys - sights.keys()),
        {key: tuple(sorted(found)) for key, found in sorted(partners.items())},
    )


def _sight(said: Sequence[Said]) -> Sight:
    moments = [one.observed_at for one in said]
    return Sight(min(moments), max(moments), tuple(sorted({one.source for one in said})))


def _links(observations: Iterable[Said]) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for said in sorted(observations, key=lambda one: (one.observed_at, one.id)):
        at = said.observed_at
        for a, b, id in said.pairs:
            claim = found.setdefault(id, Claim(id, a, b, said.source, at, at, 0, None, whole=True))
            claim.last_seen, claim.observation = at, said.id
            claim.count += 1
    return found
