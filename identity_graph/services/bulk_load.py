"""The first load of an empty graph: what the write path would make of all observations in one batch, written as files
for Neo4j's own import.

Everything is numbered in the order in which it was met, and kept in arrays.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import WriteOptions, write_csv

from identity_graph.domain.decision import ACTIVE, BLOCKED, REFUSED, SHARED, created_change_id
from identity_graph.domain.events import Event, Tally
from identity_graph.domain.evidence import Key, Link
from identity_graph.domain.intake import Rejection
from identity_graph.domain.partition import enough_partners
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import Plain
from identity_graph.services.catalogue import (
    FULL,
    NOTHING_KNOWN,
    TRAITS,
    Catalogue,
    entry_rows,
    left_out,
    new_entries,
)
from identity_graph.services.compact import Compact, Ints
from identity_graph.services.golden import golden_properties
from identity_graph.services.ingest_batches import Batch
from identity_graph.services.observe import new_id, tally_key

Files = list[tuple[str, list[Path]]]
Column = Any
"""An array of pyarrow, which ships no types."""
Table = Any
"""A table of pyarrow: the header of a file for the import, and its columns."""

#: What separates the values of a list in Neo4j's import. No identifier, source or id holds a control character.
SEPARATOR = "\x1f"
#: The properties of an entry of the catalogue of traits.
TRAIT_FIELDS: Sequence[str] = ("key", "source", "name", "type", "example")
#: What separates the names of a text that stands for a list.
TAB = "\t"


class Gathering:
    """Observations taken in, each once. Everything is numbered in the order in which it was met."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.observations: dict[str, int] = {}
        self.digests: list[str] = []
        self.sources: dict[str, int] = {}
        self.source_of, self.observed_at = array("q"), array("q")
        self.identifiers: dict[Key, int] = {}
        self.raw: dict[int, str] = {}
        self.blocked = bytearray()
        self.seen, self.seen_end = array("q"), array("q", [0])
        self.links: dict[str, int] = {}
        self.link_a, self.link_b, self.link_source = array("q"), array("q"), array("q")
        self.said, self.said_end = array("q"), array("q", [0])
        self.records: dict[str, tuple[int, str, str, str | None, str, int]] = {}
        self.outdated: list[tuple[str, int, str, str]] = []
        self.traits_size = 0
        self.events: dict[int, tuple[int, Event]] = {}
        self.tallies: dict[tuple[int, str, str], Tally] = {}

    def add(self, batch: Batch) -> tuple[int, list[tuple[int, Rejection]]]:
        """Take a batch in: how many were known before, and which ids stood for something else, with their lines."""
        known = 0
        reused: list[tuple[int, Rejection]] = []
        for line, packed in zip(batch.lines, batch.packed, strict=True):
            id, digest = packed[0], packed[4]
            number = self.observations.setdefault(id, len(self.digests))
            if number == len(self.digests):
                self._take(*packed)
            elif self.digests[number] == digest:
                known += 1
            else:
                message = "this id was already used for an observation with other content"
                reused.append((line, Rejection(id, "ID_REUSED", message, ("id",))))
        return known, reused

    def _take(
        self,
        _id: str,
        source: str,
        at: int,
        values: Sequence[tuple[str, str, str, bool]],
        digest: str,
        record_id: str | None,
        traits: Mapping[str, Any] | None,
        links: Sequence[str],
        event: tuple[str, str, int | None] | None,
    ) -> None:
        number_of_this = len(self.digests)
        self.digests.append(digest)
        from_source = self.sources.setdefault(source, len(self.sources))
        self.source_of.append(from_source)
        self.observed_at.append(at)
        identifiers, own = self.identifiers, list[tuple[Key, int]]()
        for namespace, value, raw, junk in values:
            key = f"{namespace}:{value}"
            number = identifiers.setdefault(key, len(self.blocked))
            if number == len(self.blocked):
                self.blocked.append(junk)
                if raw != value:
                    self.raw[number] = raw
            own.append((key, number))
            self.seen.append(number)
        self.seen_end.append(len(self.seen))
        if links:
            for (one, other), id in zip(combinations(own, 2), links, strict=True):
                number = self.links.setdefault(id, len(self.link_source))
                if number == len(self.link_source):
                    a, b = (one, other) if one < other else (other, one)
                    self.link_a.append(a[1])
                    self.link_b.append(b[1])
                    self.link_source.append(from_source)
                self.said.append(number)
        self.said_end.append(len(self.said))
        if traits is not None and own and not values[0][3]:
            key = f"{source}#{own[0][0]}" if record_id is None else f"{source}/{record_id}"
            old = self.records.get(key)
            if old is None or old[1] != digest:
                text = orjson.dumps(traits, option=orjson.OPT_SORT_KEYS).decode()
                self.traits_size += len(text)
                if old is None or (at, digest) > old[:2]:
                    self.records[key] = (at, digest, source, record_id, text, own[0][1])
                    if old:
                        self.outdated.append((key, old[0], old[1], old[4]))
                else:
                    self.outdated.append((key, at, digest, text))
        if event and own and not values[0][3]:
            anchor, told = own[0][1], Event(*event)
            self.traits_size += len(told.properties)
            self.events[number_of_this] = (anchor, told)
            place, one = (anchor, told.type, source), Tally.of(told, source, at)
            self.tallies[place] = self.tallies[place].plus(one) if place in self.tallies else one

    def __len__(self) -> int:
        return len(self.digests)


class _Golden(NamedTuple):
    """The properties of some profiles by number, and the type of each for the import."""

    shown: dict[int, dict[str, Any]]
    types: dict[str, str]


class Load:
    """The graph of what was gathered: decided, then written."""

    def __init__(self, gathering: Gathering) -> None:
        self.gathering, self.rules = gathering, gathering.rules
        self.sources, self.links = list(gathering.sources), list(gathering.links)
        said, observed_at = _ints(gathering.said), _ints(gathering.observed_at)
        sayer = np.repeat(np.arange(len(gathering)), np.diff(_ints(gathering.said_end)))
        self.link_first, self.link_last = _span(said, observed_at[sayer], len(self.links))
        self.link_count = np.bincount(said, minlength=len(self.links))
        self.seen, self.seen_end = _ints(gathering.seen), _ints(gathering.seen_end)
        self.seer = np.repeat(np.arange(len(gathering)), np.diff(self.seen_end))
        self.keys = list(gathering.identifiers)
        every = np.ones(len(self.links), bool)
        self.evidence = Compact(
            self.keys,
            np.frombuffer(bytes(gathering.blocked), np.uint8).astype(bool),
            _ints(gathering.link_a),
            _ints(gathering.link_b),
            every,
            every,
            self._link,
            gathering.rules,
        )
        self.parts = self.evidence.partition()

    def _link(self, number: int) -> Link:
        source = self.sources[self.gathering.link_source[number]]
        a, b = self.keys[self.gathering.link_a[number]], self.keys[self.gathering.link_b[number]]
        seen = int(self.link_first[number]), int(self.link_last[number]), int(self.link_count[number])
        return Link(self.links[number], a, b, source, *seen)

    def write(self, folder: Path, at: int, others: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Files, Files]:
        """Write CSV files for the import, and return the nodes by label and the relationships by type.

        ``at`` is the moment of the load in microseconds. ``others`` are further nodes by label.
        """
        home, many = self.parts.home, self.parts.many
        housed = home[self.seen] >= 0
        self.ids = pa.array([new_id() for _ in range(many)], pa.string())
        self.size = np.bincount(home[home >= 0], minlength=many)
        self.created_by = _first(home[self.seen[housed]], self.seer[housed], many)
        profiles = self._profiles(at)
        records = self.gathering.records.values()
        said = ((source, orjson.loads(text)) for _, _, source, _, text, _ in records)
        entries = new_entries(NOTHING_KNOWN, said, self.rules)
        self.catalogue = Catalogue.of(entries)
        if entries:
            named = [dict[str, Any](zip(TRAIT_FIELDS, row, strict=True)) for row in entry_rows(entries)]
            if self.catalogue.full:
                beyond = Counter[str]()
                for _, _, source, _, text, _ in records:
                    beyond[source] += len(left_out(self.catalogue, source, orjson.loads(text), self.rules))
                for one in named:
                    one["left_out:long"] = beyond[one["source"]] if one["type"] == FULL else None
            others = {**others, "Trait": named, "Revision": [{"key": TRAITS, "revision": new_id()}]}
        tables = [
            ("Identifier", self._identifiers(device=False)),
            ("Identifier:Device", self._identifiers(device=True)),
            *(("Profile", self._shown(profiles, group)) for group in self._golden()),
            ("Record", self._records(at)),
            *self._observations(at),
            ("Tally", self._tallies()),
            ("RecordVersion", self._outdated()),
            *((label, pa.Table.from_pylist([dict(row) for row in rows])) for label, rows in others.items()),
        ]
        joins = [("MEMBER_OF", self._memberships(at)), ("LINK", self._links()), ("HAS", self._anchors())]
        joins += [("COUNTS", self._counted()), ("WAS", self._outdated_of())]
        with ThreadPoolExecutor(2) as pool:
            nodes, edges = (
                [
                    (name, pool.submit(_write, folder / f"{number}-{name.replace(':', '-')}.csv", table))
                    for number, (name, table) in enumerate(some)
                ]
                for some in (tables, joins)
            )
            return [(n, [f.result()]) for n, f in nodes], [(n, [f.result()]) for n, f in edges]

    def _identifiers(self, *, device: bool) -> Table:
        e = self.evidence
        is_device = np.array([self.rules.rule(name).is_device for name in e.namespaces], bool)
        # A junk value is no device: the write path gives it no further label.
        chosen = np.flatnonzero((is_device[e.namespace] & ~e.blocked) == device)
        first, last = _span(self.seen, _ints(self.gathering.observed_at)[self.seer], len(self.keys))
        raw = pa.array([self.gathering.raw.get(n) for n in range(len(self.keys))], pa.string())
        state = pa.array([ACTIVE, SHARED, BLOCKED], pa.string()).take(pa.array(e.shared + 2 * e.blocked))
        return pa.table(
            {
                ":ID": np.arange(len(self.keys)),
                "key": self.evidence.key_array,
                "raw": raw,
                "first_seen:long": first,
                "last_seen:long": last,
                "sources": self._sources(),
                "state": state,
                "partners": self._partner_lists(),
                "joined": self.ids.take(_optional(self.parts.home)),
            }
        ).take(pa.array(chosen))

    def _sources(self) -> Column:
        """The sources of each identifier, sorted."""
        order = sorted(range(len(self.sources)), key=self.sources.__getitem__)
        place = np.argsort(np.array(order, np.int64))
        many = max(1, len(self.sources))
        pairs = np.unique(self.seen * many + place[_ints(self.gathering.source_of)[self.seer]])
        names = pa.array([self.sources[n] for n in order], pa.string())
        return _joined(pairs // many, names.take(pa.array(pairs % many)), len(self.keys))

    def _partner_lists(self) -> Column:
        """Partners of unique namespaces; of a shared identifier enough to prove that it is one."""
        e = self.evidence
        starts = np.searchsorted(e.partner_of, np.arange(len(self.keys)))
        nth = np.arange(len(e.partner_of)) - starts[e.partner_of]
        most = np.array([enough_partners(name, self.rules) for name in e.namespaces], np.int64)
        kept = ~e.shared[e.partner_of] | (nth < most[e.namespace[e.partner_of]])
        return _joined(e.partner_of[kept], e.key_array.take(pa.array(e.partner[kept])), len(self.keys))

    def _profiles(self, at: int) -> Table:
        e, home, many, apart = self.evidence, self.parts.home, self.parts.many, self.parts.apart
        limited = np.flatnonzero(e.bounded() & (home >= 0))
        limited = limited[np.lexsort((e.rank[limited], home[limited]))]
        conducts = np.ones(len(self.links), bool)
        conducts[list(self.parts.refused)] = False
        created_link = _first(home[e.a[conducts]], np.flatnonzero(conducts), many)
        for profile, link in self.parts.begun.items():
            created_link[profile] = link
        links, observations = (pa.array(list(ids), pa.string()) for ids in (self.links, self.gathering.observations))
        refused = np.bincount(home[np.concatenate((e.a[apart], e.b[apart]))], minlength=many)
        return pa.table(
            {
                ":ID": np.arange(many) + len(self.keys),
                "id": self.ids,
                "status": pa.array(["ACTIVE"] * many, pa.string()),
                "created_at:long": np.full(many, at),
                "size:long": self.size,
                "version:long": np.ones(many, np.int64),
                "lock:long": np.zeros(many, np.int64),
                "refused:long": refused,
                "limited": _joined(home[limited], e.key_array.take(pa.array(limited)), many),
                "created_by": observations.take(pa.array(self.created_by)),
                "created_link": links.take(_optional(created_link)),
            }
        )

    def _golden(self) -> list[_Golden]:
        """What profiles show of their golden record, in groups: within one, every trait is of one type.

        A file of the import has one type a column, and in most data a trait has one type.
        """
        said: dict[int, list[tuple[str, int, str, str, None]]] = defaultdict(list)
        for key, (at, _, source, _, text, anchor) in self.gathering.records.items():
            said[int(self.parts.home[anchor])].append((source, at, text, key, None))
        rest = {profile: golden_properties(rows, self.rules, self.catalogue) for profile, rows in said.items()}
        groups = [_Golden({profile: {} for profile in range(self.parts.many) if profile not in rest}, {})]
        while rest:
            group = _Golden({}, {})
            for profile, shown in rest.items():
                types = {name: _column_type(value) for name, value in shown.items()}
                if all(group.types.get(name, kind) == kind for name, kind in types.items()):
                    group.types.update(types)
                    group.shown[profile] = shown
            groups.append(group)
            rest = {profile: shown for profile, shown in rest.items() if profile not in group.shown}
        return groups

    def _shown(self, profiles: Table, group: "_Golden") -> Table:
        """The profiles of a group, with what they show."""
        found = profiles.take(pa.array(list(group.shown), pa.int64()))
        for name, kind in sorted(group.types.items()):
            values = [shown.get(name) for shown in group.shown.values()]
            if kind.endswith("[]"):
                values = [None if v is None else SEPARATOR.join(map(_as_text, v)) for v in values]
            found = found.append_column(f"{name}:{kind}", pa.array(values))
        return found

    def _memberships(self, at: int) -> Table:
        members = np.flatnonzero(self.parts.home >= 0)
        return pa.table(
            {
                ":START_ID": members,
                "member": self.evidence.key_array.take(pa.array(members)),
                "since:long": np.full(len(members), at),
                ":END_ID": self.parts.home[members] + len(self.keys),
            }
        )

    def _links(self) -> Table:
        e, refused = self.evidence, self.parts.refused
        many = len(self.links)
        verdicts = [refused.get(n) for n in range(many)]
        return pa.table(
            {
                ":START_ID": e.a,
                ":END_ID": e.b,
                "id": pa.array(self.links, pa.string()),
                "kind": pa.array(["OBSERVED"] * many, pa.string()),
                "source": pa.array(self.sources, pa.string()).take(pa.array(_ints(self.gathering.link_source))),
                "first_seen:long": self.link_first,
                "last_seen:long": self.link_last,
                "count:long": self.link_count,
                "state": pa.array([REFUSED if refusal else ACTIVE for refusal in verdicts], pa.string()),
                "reason": pa.array([r and r.code.value for r in verdicts], pa.string()),
                "parties:string[]": pa.array([r and SEPARATOR.join(r.parties) for r in verdicts], pa.string()),
            }
        )

    def _records(self, at: int) -> Table:
        rows = list(self.gathering.records.items())
        begin = len(self.keys) + self.parts.many
        return pa.table(
            {
                ":ID": np.arange(begin, begin + len(rows)),
                "key": pa.array([key for key, _ in rows], pa.string()),
                "source": pa.array([row[2] for _, row in rows], pa.string()),
                "record_id": pa.array([row[3] for _, row in rows], pa.string()),
                "traits": pa.array([row[4] for _, row in rows], pa.string()),
                "observed_at:long": pa.array([row[0] for _, row in rows], pa.int64()),
                "digest": pa.array([row[1] for _, row in rows], pa.string()),
                "since:long": np.full(len(rows), at),
            }
        )

    def _anchors(self) -> Table:
        rows = list(self.gathering.records.values())
        begin = len(self.keys) + self.parts.many
        anchors = pa.array([row[5] for row in rows], pa.int64())
        return pa.table({":START_ID": np.arange(begin, begin + len(rows)), ":END_ID": anchors})

    def _outdated(self) -> Table:
        rows = self.gathering.outdated
        begin = len(self.keys) + self.parts.many + len(self.gathering.records) + len(self.gathering.tallies)
        return pa.table(
            {
                ":ID": np.arange(begin, begin + len(rows)),
                "traits": pa.array([row[3] for row in rows], pa.string()),
                "observed_at:long": pa.array([row[1] for row in rows], pa.int64()),
                "digest": pa.array([row[2] for row in rows], pa.string()),
            }
        )

    def _outdated_of(self) -> Table:
        records = {key: number for number, key in enumerate(self.gathering.records)}
        rows = self.gathering.outdated
        begin = len(self.keys) + self.parts.many
        end = begin + len(records) + len(self.gathering.tallies)
        starts = pa.array([begin + records[row[0]] for row in rows], pa.int64())
        return pa.table({":START_ID": starts, ":END_ID": np.arange(end, end + len(rows))})

    def _tallies(self) -> Table:
        tallies = list(self.gathering.tallies.items())
        begin = len(self.keys) + self.parts.many + len(self.gathering.records)
        named = [tally_key(self.keys[anchor], type, source) for (anchor, type, source), _ in tallies]
        return pa.table(
            {
                ":ID": np.arange(begin, begin + len(tallies)),
                "key": pa.array(named, pa.string()),
                "type": pa.array([t.type for _, t in tallies], pa.string()),
                "source": pa.array([t.source for _, t in tallies], pa.string()),
                "count:long": pa.array([t.count for _, t in tallies], pa.int64()),
                "first:long": pa.array([t.first for _, t in tallies], pa.int64()),
                "last:long": pa.array([t.last for _, t in tallies], pa.int64()),
                "amount:long": pa.array([t.amount for _, t in tallies], pa.int64()),
            }
        )

    def _counted(self) -> Table:
        anchors = [anchor for anchor, _, _ in self.gathering.tallies]
        begin = len(self.keys) + self.parts.many + len(self.gathering.records)
        ids = np.arange(begin, begin + len(anchors))
        return pa.table({":START_ID": ids, ":END_ID": pa.array(anchors, pa.int64())})

    def _observations(self, at: int) -> list[tuple[str, Table]]:
        """Those that tell of no event, and those that do."""
        every, events = self._all_observations(at), self.gathering.events
        numbers = np.fromiter(events, np.int64, len(events))
        plain = np.ones(len(self.gathering), bool)
        plain[numbers] = False
        told = every.take(pa.array(numbers))
        columns = {
            "by": self.evidence.key_array.take(pa.array([anchor for anchor, _ in events.values()], pa.int64())),
            "type": pa.array([event.type for _, event in events.values()], pa.string()),
            "properties": pa.array([event.properties for _, event in events.values()], pa.string()),
            "amount:long": pa.array([event.amount for _, event in events.values()], pa.int64()),
        }
        for name, column in columns.items():
            told = told.append_column(name, column)
        return [("Observation", every.filter(pa.array(plain))), ("Observation:Event", told)]

    def _all_observations(self, at: int) -> Table:
        gathering = self.gathering
        many = len(gathering)
        keys = pa.ListArray.from_arrays(
            pa.array(self.seen_end, pa.int32()), self.evidence.key_array.take(pa.array(self.seen))
        )
        sources = pa.array(self.sources, pa.string()).take(pa.array(_ints(gathering.source_of)))
        return pa.table(
            {
                "id": pa.array(list(gathering.observations), pa.string()),
                "digest": pa.array(gathering.digests, pa.string()),
                "source": sources,
                "observed_at:long": _ints(gathering.observed_at),
                "keys": _call("binary_join", keys, TAB),
                "result": self._results(),
                "at:long": np.full(many, at),
            }
        )

    def _results(self) -> Column:
        """What came of each observation, as the write path keeps it."""
        e, parts = self.evidence, self.parts
        ids = self.ids.to_pylist()
        answers = [f'["{id}",{size},1]' for id, size in zip(ids, self.size.tolist(), strict=True)]
        profiles = self._answered()
        plain = pa.array([f"[{answer},[],[]]" for answer in answers], pa.string())
        results = plain.take(_optional(profiles)).fill_null("[null,[],[]]").to_pylist()
        created: dict[int, list[int]] = defaultdict(list)
        for profile, number in enumerate(self.created_by.tolist()):
            created[number].append(profile)
        said, end = _ints(self.gathering.said), _ints(self.gathering.said_end)
        refused = np.zeros(len(self.links), bool)
        refused[list(parts.refused)] = True
        sayer = np.repeat(np.arange(len(self.gathering)), np.diff(end))
        for number in np.union1d(self.created_by, sayer[refused[said]]).tolist():
            refusals = [
                [self.keys[e.a[link]], self.keys[e.b[link]], refusal.code, refusal.parties]
                for link in said[end[number] : end[number + 1]].tolist()
                if (refusal := parts.refused.get(link))
            ]
            mine = created.get(number, [])
            if len(mine) > 1:
                # The write path names them from the last identifier to the first.
                home = parts.home[self.seen[self.seen_end[number] : self.seen_end[number + 1]]].tolist()
                mine.sort(key=home.index, reverse=True)
            changes = [[created_change_id(ids[profile]), "CREATED"] for profile in mine]
            answer = answers[profiles[number]] if profiles[number] >= 0 else "null"
            results[number] = f"[{answer},{orjson.dumps(refusals).decode()},{orjson.dumps(changes).decode()}]"
        return pa.array(results, pa.string())

    def _answered(self) -> Ints:
        """The profile that each observation is about: of its strongest identifier that is one person's; -1 for none."""
        many = len(self.seen) + 1
        ranked = (self.evidence.shared + 2 * self.evidence.blocked)[self.seen] * many + np.arange(len(self.seen))
        if not len(ranked):
            return np.zeros(0, np.int64)
        return self.parts.home[self.seen[np.minimum.reduceat(ranked, self.seen_end[:-1]) % many]]


# ------------------------------------------------------------------------------------------------ arrays


def _ints(values: "array[int]") -> Ints:
    return np.frombuffer(values, np.int64) if values else np.zeros(0, np.int64)


def _span(group: Ints, values: Ints, many: int) -> tuple[Ints, Ints]:
    """The least and the greatest value of each group."""
    least, greatest = np.full(many, np.iinfo(np.int64).max), np.full(many, np.iinfo(np.int64).min)
    np.minimum.at(least, group, values)
    np.maximum.at(greatest, group, values)
    return least, greatest


def _first(group: Ints, values: Ints, many: int) -> Ints:
    """The first value of each group, -1 where it has none."""
    found = np.full(many, -1)
    groups, at = np.unique(group, return_index=True)
    found[groups] = values[at]
    return found


def _optional(numbers: Ints) -> Column:
    """Numbers to take by, -1 for nothing."""
    return pa.array(numbers, mask=numbers < 0)


def _joined(group: Ints, texts: Column, many: int) -> Column:
    """The texts of each group as one, as the write path keeps them; null where there are none. ``group`` is sorted."""
    ends = np.searchsorted(group, np.arange(many + 1))
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), texts)
    nothing = pa.scalar(None, pa.string())
    return _call("if_else", pa.array(np.diff(ends) > 0), _call("binary_join", lists, TAB), nothing)


def _column_type(value: Plain | int) -> str:
    """The type of a property in the header of a file for the import."""
    if isinstance(value, list):
        return f"{_column_type(value[0])}[]"
    return {bool: "boolean", int: "long", float: "double", str: "string"}[type(value)]


def _as_text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _call(name: str, *values: Any) -> Column:
    """A function of pyarrow; most exist by name only."""
    return pc.call_function(name, list(values))


def _write(path: Path, table: Table) -> Path:
    write_csv(table, path, WriteOptions(quoting_style="needed"))
    return path
