"""Profiles as a table in a file: one row a profile, one column a trait, and a description of the columns beside it.

Rows are read and written in pages, so any number of them takes the same memory. A column holds what profiles show of
their golden record: texts are one line and cut at 2,000 characters. Aggregates such as ``lifetime_value`` are columns
too, with what sources and people say of such a name before what events add up to, and those that the graph's rules
declare, whatever is said of theirs.

Which columns there are and of which types is decided once, before the first page. Others write meanwhile: a trait that
comes later has no column, and a value of another type than its column has is left out, counted and told.
"""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from identity_graph.domain.events import AGGREGATES, PURCHASE, UNIT, Declared
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import TRAIT, TraitType, as_date
from identity_graph.services.active_rules import Followed, followed
from identity_graph.services.ahead import ahead
from identity_graph.services.journey import asked_of, declared_values
from identity_graph.services.submit import now
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph

#: Profiles of one page.
PAGE = 5_000

_PLAIN = {"STRING": "text", "FLOAT": "number", "BOOLEAN": "boolean"}
_LISTS = {f"LIST<{name}>": f"list of {kind}s" for name, kind in _PLAIN.items()}
#: Dates are texts, as in records.
_OF_AGGREGATES = {TraitType.TEXT: "text", TraitType.DATE: "text", TraitType.NUMBER: "number"}
#: What values of a kind are, and of lists their first value.
_TYPES: dict[str, type] = {"text": str, "number": float, "boolean": bool}
_ITEMS = {f"list of {kind}s": type for kind, type in _TYPES.items()}
_ARROW: dict[str, Any] = {
    "text": pa.string(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "json": pa.string(),
    "list of texts": pa.list_(pa.string()),
    "list of numbers": pa.list_(pa.float64()),
    "list of booleans": pa.list_(pa.bool_()),
    "moment": pa.timestamp("us", tz="UTC"),
}


class NothingToExport(Exception):
    """There is no such segment; the message says so."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the file, what its values are, and the property that it shows (none: of the row itself).

    ``json`` is for traits whose values are of several types: each as JSON text.
    """

    name: str
    kind: str
    property: str | None = None


_OWN = (Column("profile_id", "text"), Column("created_at", "moment"), Column("identifiers", "list of texts"))
_ENTERED = Column("entered_at", "moment")


@dataclass(frozen=True, slots=True)
class Exported:
    """How many rows, the file that describes the columns, and how many values were left out, by column."""

    rows: int
    described: Path
    left_out: dict[str, int]


def export(
    graph: Graph, out: Path, kind: str, segment: str | None, told: Callable[[int], None] = lambda _: None
) -> Exported:
    """Write all profiles, or a segment's members, to a file. ``told`` gets the number of rows so far.

    Raises :class:`NothingToExport`.
    """
    about: dict[str, Any] = {}
    if segment is not None:
        ((segments,),) = graph.read("segment/list")
        found = next((row for row in segments if row[0] == segment and row[3]), None)
        if found is None:
            raise NothingToExport(f"there is no segment {segment}; `identity-graph segment list` shows those there are")
        about = {"segment": {"name": segment, "version": found[1], "rule": orjson.loads(found[3])}}
    declared = (followed(graph) or Followed(Rules())).rules.aggregates
    columns = _columns(graph, declared, of_segment=segment is not None)
    many, left_out = 0, Counter[str]()
    with _WRITERS[kind](out, columns) as write:
        pages = ahead(_pages(graph, segment, [column.property for column in columns if column.property]))
        for rows, sums, counted in ahead(_summed(graph, pages, declared, now())):
            write(_columnwise(rows, sums, counted, columns, left_out))
            many += len(rows)
            told(many)
    described = out.with_name(out.name + ".schema.json")
    shape = {"rows": many, "format": kind, **about, "columns": [_described(c, left_out[c.name]) for c in columns]}
    described.write_bytes(orjson.dumps(shape, option=orjson.OPT_INDENT_2))
    return Exported(many, described, dict(left_out))


def _described(column: Column, left_out: int) -> dict[str, str | int]:
    told: dict[str, str | int] = {"name": column.name, "type": column.kind}
    return told | {"left_out": left_out} if left_out else told


def _columns(graph: Graph, declared: Iterable[str], *, of_segment: bool) -> list[Column]:
    ((rows,),) = graph.read("export/columns", timeout=LONG_READ_TIMEOUT)
    own = [*_OWN, *([_ENTERED] if of_segment else [])]
    taken = {column.name for column in own}
    kinds_of = {TRAIT + name: {_OF_AGGREGATES[type]} for name, type in AGGREGATES.items()}
    for property, type in rows:
        kinds_of.setdefault(property, set()).add(_kind(type))
    kinds_of |= {TRAIT + name: {"number"} for name in declared}
    for property, kinds in sorted(kinds_of.items()):
        name = property.removeprefix(TRAIT)
        kind = kinds.pop() if len(kinds) == 1 else "json"
        own.append(Column(property if name in taken else name, kind, property))
    return own


def _kind(type: str) -> str:
    """Of Neo4j's name of a type; what holds nothing null says so."""
    plain = type.replace(" NOT NULL", "")
    return _PLAIN.get(plain) or _LISTS.get(plain) or "json"


Row = Sequence[Any]
"""Profile id, created, entered, identifiers, and the values of all columns that show a property, in their order."""
Sums = Mapping[str, Sequence[Any]]
"""By profile id the aggregates in the order of their names: moments, and an amount in ten-thousandths."""
Counted = Mapping[str, Sequence[float | None]]
"""By the name of a declared aggregate its value in each row."""


def _pages(graph: Graph, segment: str | None, names: list[str]) -> Iterator[list[Row]]:
    statement, of = ("export/profiles", {}) if segment is None else ("export/members", {"name": segment})
    after = ""
    while True:
        ((rows,),) = graph.read(statement, timeout=LONG_READ_TIMEOUT, **of, names=names, after=after, limit=PAGE)
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _summed(
    graph: Graph, pages: Iterator[list[Row]], declared: Mapping[str, Declared], at: int
) -> Iterator[tuple[list[Row], Sums, Counted]]:
    """Pages with what the events of their profiles add up to, and what is declared of that as it is at a moment.

    The database reads that of one page while it reads the next: together they would take as long as both.
    """
    for rows in pages:
        ids = [row[0] for row in rows]
        ((found,),) = graph.read("export/sums", timeout=LONG_READ_TIMEOUT, ids=ids, purchase=PURCHASE)
        yield rows, {id: sums for id, *sums in found}, _counted(graph, ids, declared, at) if declared else {}


def _counted(graph: Graph, ids: list[str], declared: Mapping[str, Declared], at: int) -> Counted:
    asked = asked_of(declared, at)
    ((found,),) = graph.read("event/declared", timeout=LONG_READ_TIMEOUT, ids=ids, asked=asked)
    values = declared_values(declared, at, found)
    return {
        name: [float(of[name][0]) if name in (of := values.get(id, {})) else None for id in ids] for name in declared
    }


Values = Sequence[Sequence[Any]]
"""The values of each column."""


def _columnwise(
    rows: Sequence[Row], sums: Sums, counted: Counted, columns: list[Column], left_out: Counter[str]
) -> Values:
    """The values of each column; those that do not fit it any more are None, and counted in ``left_out``."""
    *own, shown = zip(*rows, strict=True)
    of_property = iter(zip(*shown, strict=True))
    summed = dict(zip(sorted(AGGREGATES), zip(*(sums.get(id, _NOTHING) for id in own[0]), strict=True), strict=True))
    found: list[Sequence[Any]] = []
    for column in columns:
        if column.property is None:
            found.append(own[_PLACES[column.name]])
            continue
        values: Sequence[Any] = next(of_property)
        name = column.property.removeprefix(TRAIT)
        if name in counted:
            values = counted[name]
        elif name in AGGREGATES:
            told = _told(AGGREGATES[name], summed[name])
            values = [other if value is None else value for value, other in zip(values, told, strict=True)]
        fitting = _fitting(values, column.kind)
        if missing := fitting.count(None) - values.count(None):
            left_out[column.name] += missing
        found.append(fitting)
    return found


#: Of a profile that was merged or erased between the two reads of a page.
_NOTHING = (None,) * len(AGGREGATES)
_PLACES = {"profile_id": 0, "created_at": 1, "entered_at": 2, "identifiers": 3}


def _told(type: TraitType, values: Sequence[Any]) -> Sequence[Any]:
    """The values of an aggregate, as a golden record has them."""
    match type:
        case TraitType.DATE:
            return [None if at is None else as_date(at) for at in values]
        case TraitType.NUMBER:
            return [None if amount is None else amount / UNIT for amount in values]
        case _:
            return values


def _fitting(values: Sequence[Any], kind: str) -> Sequence[Any]:
    """Values of a kind; others are None."""
    if wanted := _TYPES.get(kind):
        if set(map(type, values)) <= {wanted, type(None)}:
            return values
        return [value if type(value) is wanted else None for value in values]
    if item := _ITEMS.get(kind):
        # A list of a profile holds values of one type, and one at least.
        return [value if isinstance(value, list) and type(value[0]) is item else None for value in values]
    return values


@contextmanager
def _parquet(out: Path, columns: list[Column]) -> Generator[Callable[[Values], None]]:
    schema = pa.schema([(column.name, _ARROW[column.kind]) for column in columns])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:

        def write(found: Values) -> None:
            writer.write_table(_table(found, columns, schema))

        yield write


@contextmanager
def _csv(out: Path, columns: list[Column]) -> Generator[Callable[[Values], None]]:
    """A list is one field, as JSON text."""
    flat = [pa.string() if column.kind.startswith("list") else _ARROW[column.kind] for column in columns]
    schema = pa.schema([(column.name, kind) for column, kind in zip(columns, flat, strict=True)])
    with CSVWriter(out, schema) as writer:

        def write(found: Values) -> None:
            writer.write_table(_table(found, columns, schema))

        yield write


@contextmanager
def _jsonl(out: Path, columns: list[Column]) -> Generator[Callable[[Values], None]]:
    """An object a line, without what a profile lacks."""
    names = [column.name for column in columns]
    with out.open("wb") as file:

        def write(found: Values) -> None:
            told = [map(as_date, some) if c.kind == "moment" else some for c, some in zip(columns, found, strict=True)]
            for row in zip(*told, strict=True):
                plain = {name: value for name, value in zip(names, row, strict=True) if value is not None}
                file.write(orjson.dumps(plain, option=orjson.OPT_APPEND_NEWLINE))

        yield write


_WRITERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
FORMATS = tuple(_WRITERS)
"""How a file can be written; also the endings by which a format is recognised."""


def _table(found: Values, columns: list[Column], schema: Any) -> Any:
    arrays: list[Any] = []
    for column, field, values in zip(columns, schema, found, strict=True):
        if field.type == pa.string() and column.kind != "text":
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
