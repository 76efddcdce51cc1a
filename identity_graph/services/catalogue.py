"""The catalogue of traits: which names there are, of which types, from which sources.

It is written in the transaction that brings something new, and read again only when its revision changes, so that a
batch that brings nothing new pays for one look at the revisions.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import uuid_utils

from identity_graph.domain.events import AGGREGATES, EVERY_TYPE, OF_EVENTS, PURCHASE, Declared
from identity_graph.domain.rules import Rules, cleaned
from identity_graph.domain.traits import NAME, TRAIT, TraitType, masked, typed
from identity_graph.store.graph import Transaction

K = TypeVar("K")
V = TypeVar("V")

#: Keys of revisions.
SEGMENTS, TRAITS = "segments", "traits"

#: States of the catalogue, or of the definitions of segments, that are remembered at most.
MOST_KNOWN = 8
#: Characters of the longest name that is catalogued as it is; a longer one is no name, and listed shortened.
MAX_NAME = 256
#: Profiles by which it is told how often a trait is there.
SAMPLE = 20_000
#: How the sources of scores begin.
SCORE = "score:"
#: The type of the entry that says that a source has more names than are taken.
FULL = "FULL"

Entry = tuple[str, str, str]
"""Source, name and type."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``names`` are by source, ``types`` by name. ``full`` are the sources whose further names are left out."""

    entries: frozenset[Entry] = frozenset()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    types: Mapping[str, frozenset[TraitType]] = field(default_factory=dict[str, frozenset[TraitType]])
    full: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Catalogue":
        all_entries = frozenset(entries)
        names: dict[str, set[str]] = defaultdict(set)
        types: dict[str, set[TraitType]] = defaultdict(set)
        for source, name, type in all_entries:
            if type != FULL:
                names[source].add(name)
                types[name].add(TraitType(type))
        return cls(
            all_entries,
            {source: frozenset(some) for source, some in names.items()},
            {name: frozenset(some) for name, some in types.items()},
            frozenset(source for source, _, type in all_entries if type == FULL),
        )


NOTHING_KNOWN = Catalogue()


def new_entries(known: Catalogue, said: Iterable[tuple[str, Mapping[str, Any]]], rules: Rules) -> dict[Entry, str]:
    """What traits add to a catalogue, cleaned by the rules, each with a masked example. ``said`` are sources with the
    traits they give."""
    found: dict[Entry, str] = {}
    names: dict[str, set[str]] = {}
    for source, raw in said:
        for name, type, value in _typed(raw, rules):
            entry = (source, name, type.value)
            if entry in known.entries or entry in found:
                continue
            own = names.setdefault(source, set(known.names.get(source, ())))
            if name not in own and len(own) >= rules.limits.trait_names:
                if source not in known.full:
                    found[source, "", FULL] = ""
                continue
            own.add(name)
            found[entry] = masked(value)
    return found


def left_out(known: Catalogue, source: str, raw: Mapping[str, Any] | None, rules: Rules) -> list[str]:
    """The names of traits that stay in a record, as its source has more of them than are taken."""
    if source not in known.full or not raw:
        return []
    return [name for name, _, _ in _typed(raw, rules) if name not in known.types]


def _typed(raw: Mapping[str, Any], rules: Rules) -> Iterator[tuple[str, TraitType, Any]]:
    """Traits, cleaned by the rules, by the names that the catalogue lists them by."""
    for name, type, value in typed(cleaned(raw, rules.traits, rules.default_region)):
        yield name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…", type, value


def count_left_out(tx: Transaction, many: Mapping[str, int]) -> None:
    """Add to how many values of each source were left out."""
    rows = [["\t".join((source, "", FULL)), some] for source, some in sorted(many.items())]
    tx.do("trait/left_out", rows=rows)


def entry_rows(entries: Mapping[Entry, str]) -> list[list[str]]:
    """Key, source, name, type, example; sorted, so that two writers never wait for each other."""
    return [["\t".join(entry), *entry, example] for entry, example in sorted(entries.items())]


def revisions(tx: Transaction) -> dict[str, str]:
    return dict(tx.one("revision/read"))


#: The catalogues that were met last, by revision, which is never used again.
_known: dict[str, Catalogue] = {}


def read_catalogue(tx: Transaction, revision: str | None = None) -> Catalogue:
    """The catalogue as this transaction sees it, whose revision it may know."""
    revision = revision or revisions(tx).get(TRAITS)
    if revision is None:
        return NOTHING_KNOWN
    return remembered(
        _known,
        revision,
        lambda: Catalogue.of((source, name, type) for source, name, type, *_ in tx.one("trait/list")),
    )


def remembered(known: dict[K, V], key: K, read: Callable[[], V]) -> V:
    """What is known by a key, read where it is not; only the last few are kept."""
    found = known.get(key)
    if found is None:
        # Threads share this: what one has just put there another may clear.
        if len(known) >= MOST_KNOWN:
            known.clear()
        found = known[key] = read()
    return found


def note_traits(
    tx: Transaction, revision: str | None, said: Iterable[tuple[str, Mapping[str, Any] | None]], rules: Rules
) -> Catalogue:
    """Put what sources say into the catalogue, whose revision is given; the catalogue with it."""
    known = read_catalogue(tx, revision) if revision else NOTHING_KNOWN
    new = new_entries(known, ((source, traits) for source, traits in said if traits), rules)
    if not new:
        return known
    tx.do("revision/set", key=TRAITS, revision=str(uuid_utils.uuid7()))
    tx.do("trait/note", rows=entry_rows(new))
    return Catalogue.of((*known.entries, *new))


class Kind(StrEnum):
    """Who says a trait: sources, a person's events by what they add up to, or a model."""

    GIVEN = "GIVEN"
    AGGREGATE = "AGGREGATE"
    SCORE = "SCORE"


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait as it is told. ``fill_rate`` is the part of some profiles that have it, from 0 to 1; ``examples`` are
    masked. An aggregate has the sources that say something of its name, instead of it unless the rules declare it."""

    name: str
    kind: Kind
    types: list[str]
    sources: list[str]
    searchable: bool
    fill_rate: float
    examples: list[str]


def trait_catalogue(tx: Transaction, declared: Mapping[str, Declared], at: int) -> tuple[list[Trait], dict[str, int]]:
    """All traits by name at a moment, aggregates, also ``declared`` ones, and scores among them; and the sources that
    have more names of them than are taken, with the number of values of further names that stayed in records."""
    of_any = [TRAIT + name for name, type in OF_EVENTS.items() if type == EVERY_TYPE]
    of_type = [TRAIT + name for name, type in OF_EVENTS.items() if type == PURCHASE]
    asked = [[TRAIT + name, of.type, of.since(at)] for name, of in declared.items()]
    ((looked, filled, aggregated, counted),) = tx.run(
        "trait/fill", sample=SAMPLE, type=PURCHASE, of_any=of_any, of_type=of_type, declared=asked
    )
    # Whoever has an identifier was seen.
    many = Counter({TRAIT + name: looked for name in AGGREGATES if name not in OF_EVENTS})
    for name, some in (*filled, *aggregated):
        many[name] = min(looked, many[name] + some)
    many |= {TRAIT + name: 0 for name in declared} | dict(counted)
    by_name: dict[str, list[tuple[str, str, str]]] = {name: [] for name in (*AGGREGATES, *declared)}
    full: dict[str, int] = {}
    for source, name, type, example, left in sorted(tx.one("trait/list")):
        if type == FULL:
            full[source] = left
        else:
            by_name.setdefault(name, []).append((source, type, example))
    traits: list[Trait] = []
    for name, rows in sorted(by_name.items()):
        sources, said = {source for source, _, _ in rows}, [] if name in declared else rows
        summed = TraitType.NUMBER if name in declared else AGGREGATES.get(name)
        kind = Kind.AGGREGATE if summed else _kind(sources)
        types = {type for _, type, _ in said} | ({summed} if summed else set())
        rate = many[TRAIT + name] / looked if looked else 0.0
        examples = sorted({example for _, _, example in said})[:5]
        searchable = NAME.fullmatch(name) is not None
        traits.append(Trait(name, kind, sorted(types), sorted(sources), searchable, rate, examples))
    return traits, full


def _kind(sources: Iterable[str]) -> Kind:
    return Kind.SCORE if any(source.startswith(SCORE) for source in sources) else Kind.GIVEN
