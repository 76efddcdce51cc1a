"""The model's links: what it says of a pair of records, and what that changes of what it said before."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from identity_graph.domain.decision import ACTIVE, REFUSED, Claim, Stated
from identity_graph.domain.evidence import Key, LinkKind, link_id
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.partition import DisjointSets

PROPOSED, RETRACTED = "PROPOSED", "RETRACTED"
#: States of links that the partition looks at.
TAKING_PART = (ACTIVE, REFUSED)


class UnusableModel(Exception):
    """A model cannot be trained, or is not where it should be; the message says what to do."""


class ProposalStatus(StrEnum):
    OPEN = "OPEN"
    MERGED = "MERGED"
    KEPT_APART = "KEPT_APART"


@dataclass(frozen=True, slots=True)
class Level:
    """One comparison's outcome; ``weight`` in bits."""

    comparison: str
    level: str
    weight: float


@dataclass(frozen=True, slots=True)
class MatchEvidence:
    """What a model says of two records: match weight in bits, probability = 2^w / (1 + 2^w), and every level."""

    version: str
    weight: float
    probability: float
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Anchored:
    """A record and the identifier that holds it."""

    record: str
    anchor: Key


@dataclass(frozen=True, slots=True)
class Match:
    """Two records that the model connects; their anchors in the order of their keys."""

    id: str
    a: Anchored
    b: Anchored
    evidence: MatchEvidence
    conducts: bool

    def claim(self, at: int) -> Claim:
        """As a claim of the moment ``at``, in microseconds since 1970."""
        weight, conducts = self.evidence.weight, self.conducts
        ends = self.a.anchor, self.b.anchor, self.evidence.version
        return Claim(self.id, *ends, at, at, 1, None, None, LinkKind.MATCHED, weight, conducts)


@dataclass(frozen=True, slots=True)
class StoredMatch:
    """A matched link as stored."""

    id: str
    a: Key
    b: Key
    version: str
    weight: float
    state: str

    @property
    def takes_part(self) -> bool:
        return self.state in TAKING_PART

    def claim(self, at: int) -> Claim:
        """As taken back at a moment: it conducts as far as the stored one took part."""
        ends = self.a, self.b, self.version
        return Claim(self.id, *ends, at, at, 1, None, None, LinkKind.MATCHED, self.weight, self.takes_part)


def match(one: Anchored, other: Anchored, evidence: MatchEvidence, auto: float) -> Match | None:
    """What joins two records from ``auto`` bits on, and is a proposal below; None where one identifier holds both.

    Two records have one matched link, whatever was said of them before.
    """
    if one.anchor == other.anchor:
        return None
    a, b = sorted((one, other), key=lambda r: (r.anchor, r.record))
    id = link_id(a.record, b.record, LinkKind.MATCHED, "")
    return Match(id, a, b, evidence, evidence.weight >= auto)


def known_persons(carried: Mapping[str, Collection[Key]]) -> dict[str, Key]:
    """Whose records are, from the identifiers of unique namespaces that each carries: the least key that tells.

    Records that share such an identifier are one person's, and so on from one to the next. That two share none says
    nothing. Where a person would have two identifiers of one namespace, something is wrong, so nobody is told.
    """
    persons = DisjointSets()
    for keys in carried.values():
        for key in keys:
            persons.join(min(keys), key)
    members: dict[Key, list[Key]] = defaultdict(list)
    for key in persons.parent:
        members[persons.find(key)].append(key)
    told = {root: min(keys) for root, keys in members.items() if len({split_key(k)[0] for k in keys}) == len(keys)}
    found = {record: told.get(persons.find(min(keys))) for record, keys in carried.items() if keys}
    return {record: person for record, person in found.items() if person is not None}


def differences(
    wanted: Mapping[str, Match], stored: Mapping[str, StoredMatch], at: int
) -> tuple[Stated, dict[str, Match]]:
    """What is to be stated so that the matched links of some records are the wanted ones, and the links to write."""
    claims: list[Claim] = []
    demoted: list[Claim] = []
    changed: dict[str, Match] = {}
    for id, match in wanted.items():
        old = stored.get(id)
        if old and old.state != RETRACTED and _same(match, old):
            continue
        changed[id] = match
        (demoted if old and old.takes_part and not match.conducts else claims).append(match.claim(at))
    withdrawn = [old.claim(at) for id, old in stored.items() if id not in wanted and old.state != RETRACTED]
    return Stated(tuple(claims), tuple(demoted), tuple(withdrawn)), changed


def _same(match: Match, old: StoredMatch) -> bool:
    evidence = match.evidence
    same = (evidence.version, evidence.weight) == (old.version, old.weight)
    return same and match.conducts == old.takes_part
