"""Evidence: what sources said, as dated links between identifiers. Times are microseconds since 1970 (UTC)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from itertools import combinations
from typing import Any

from identity_graph.domain.events import Event
from identity_graph.domain.identifiers import Identifier
from identity_graph.domain.rules import RECORD_NAMESPACE, Rules

Key = str


@dataclass(frozen=True, slots=True)
class CannotLink:
    """A person's word that two sides are not one person: no profile may hold identifiers of both.

    The sides share no identifier. A side is whole, not a sample: what an undo keeps apart is every pair of them.
    """

    id: str
    one: frozenset[Key]
    other: frozenset[Key]

    @property
    def keys(self) -> frozenset[Key]:
        return self.one | self.other


class LinkKind(StrEnum):
    OBSERVED = "OBSERVED"
    MATCHED = "MATCHED"
    ASSERTED = "ASSERTED"


class RefusalCode(StrEnum):
    UNIQUE_NAMESPACE = "UNIQUE_NAMESPACE"
    NAMESPACE_LIMIT = "NAMESPACE_LIMIT"
    CANNOT_LINK = "CANNOT_LINK"
    SIZE_CAP = "SIZE_CAP"
    SHARED_IDENTIFIER = "SHARED_IDENTIFIER"
    BLOCKED_VALUE = "BLOCKED_VALUE"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a link does not conduct; ``parties`` are the keys that stand in its way."""

    code: RefusalCode
    parties: tuple[Key, ...] = ()

    @property
    def message(self) -> str:
        """One sentence for a person."""
        named = " and ".join(self.parties)
        match self.code:
            case RefusalCode.UNIQUE_NAMESPACE:
                namespace = self.parties[0].partition(":")[0]
                if namespace == RECORD_NAMESPACE:
                    return f"{named} would share a profile, and their source holds each person once."
                return f"{named} would share a profile, and {namespace} is unique."
            case RefusalCode.NAMESPACE_LIMIT:
                return f"The profile would hold more values of {self.parties[0]} than the rules allow."
            case RefusalCode.CANNOT_LINK:
                return f"{named} were said never to be the same person."
            case RefusalCode.SIZE_CAP:
                return "The profile would hold more identifiers than the size cap allows."
            case RefusalCode.SHARED_IDENTIFIER:
                return f"{named} is used by too many people to say who this is."
            case RefusalCode.BLOCKED_VALUE:
                return f"{named} is a junk value and identifies nobody."


@dataclass(frozen=True, slots=True)
class Link:
    """One source's claim that two identifiers belong together; ``a`` < ``b``.

    ``weight`` is the match weight (log2 Bayes factor) of a ``MATCHED`` link. ``conducts`` is False for a retracted
    link and for a matched one below the automatic threshold.
    """

    id: str
    a: Key
    b: Key
    source: str
    first_seen: int
    last_seen: int
    count: int = 1
    kind: LinkKind = LinkKind.OBSERVED
    weight: float = 0.0
    conducts: bool = True


def link_id(a: Key, b: Key, kind: str, source: str) -> str:
    """The durable id of a link: the first 80 bits of a BLAKE2b over its ends (in order), kind and source."""
    return blake2b(f"{a}\x00{b}\x00{kind}\x00{source}".encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything known: identifiers (also those without links), links, and sides that may not meet."""

    identifiers: frozenset[Key] = frozenset()
    links: tuple[Link, ...] = ()
    cannot_links: frozenset[CannotLink] = frozenset()


@dataclass(frozen=True, slots=True)
class Observation:
    """A source's dated claim that these identifiers, and perhaps the traits of one record, belong together.

    It may also tell what was done then: the event belongs to the anchor. ``identifiers`` are distinct and hold the
    record's own identifier where ``record_id`` is given.
    ``digest`` names the content: the same id with another digest is a conflict.
    """

    id: str
    source: str
    observed_at: int
    identifiers: tuple[Identifier, ...]
    digest: str
    record_id: str | None = None
    traits: dict[str, Any] | None = None
    pairs: tuple[tuple[Key, Key, str], ...] = field(default=())
    event: Event | None = None

    @property
    def anchor(self) -> Identifier | None:
        """The identifier that holds the record and the event: the record's own, else the strongest usable one.

        Whether it is shared does not matter: that may change with what comes later, and where a row belongs must not
        depend on the order of arrival.
        """
        return self.identifiers[0] if self.identifiers and not self.identifiers[0].blocked else None

    @property
    def record_key(self) -> str | None:
        """The durable name of the record that the traits upsert, or None without an anchor."""
        if self.record_id is not None:
            return f"{self.source}/{self.record_id}"
        return f"{self.source}#{self.anchor.key}" if self.anchor else None


def observation(
    id: str,
    source: str,
    observed_at: int,
    identifiers: Iterable[Identifier],
    digest: str,
    rules: Rules,
    record_id: str | None = None,
    traits: dict[str, Any] | None = None,
    event: Event | None = None,
) -> Observation:
    """An observation with its identifiers distinct, usable ones first and strongest first, and its pairs named.

    Every two of its identifiers are linked: which of them later gives way must not depend on who was listed first.
    A record's own identifier comes before all, as the record is anchored by it.
    """
    distinct = {identifier.key: identifier for identifier in identifiers}
    if record_id is not None:
        value = f"{source}/{record_id}"
        key = f"{RECORD_NAMESPACE}:{value}"
        distinct[key] = Identifier(RECORD_NAMESPACE, value, value, key, False)

    def strength(identifier: Identifier) -> tuple[bool, bool, int, Key]:
        own = record_id is not None and identifier.namespace == RECORD_NAMESPACE
        return identifier.blocked, not own, rules.rule(identifier.namespace).priority, identifier.key

    ordered = tuple(sorted(distinct.values(), key=strength)) if len(distinct) > 1 else tuple(distinct.values())
    pairs = tuple(_pairs(ordered, source))
    return Observation(id, source, observed_at, ordered, digest, record_id, traits, pairs, event)


def _pairs(identifiers: tuple[Identifier, ...], source: str) -> Iterator[tuple[Key, Key, str]]:
    for one, other in combinations(identifiers, 2):
        a, b = (one.key, other.key) if one.key < other.key else (other.key, one.key)
        yield a, b, link_id(a, b, LinkKind.OBSERVED, source)


def gather(observations: Iterable[Observation], cannot_links: Iterable[CannotLink] = ()) -> Evidence:
    """The evidence that observations amount to, whatever their order; one that repeats an id counts once."""
    identifiers: set[Key] = set()
    links: dict[str, Link] = {}
    seen: set[str] = set()
    for o in observations:
        if o.id in seen:
            continue
        seen.add(o.id)
        identifiers.update(i.key for i in o.identifiers)
        for a, b, id in o.pairs:
            old = links.get(id)
            links[id] = Link(
                id,
                a,
                b,
                o.source,
                min(old.first_seen, o.observed_at) if old else o.observed_at,
                max(old.last_seen, o.observed_at) if old else o.observed_at,
                old.count + 1 if old else 1,
            )
    return Evidence(frozenset(identifiers), tuple(links.values()), frozenset(cannot_links))
