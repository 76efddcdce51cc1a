"""Profiles as a table in a file: one row a profile, one column a trait, and a description of the columns beside it.

Rows are read and written in pages, so any number of them takes the same memory. A column holds what profiles show of
their golden record: texts are one line and cut at 2,000 characters.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import CSVWriter

from identity_graph.domain.traits import TRAIT, as_date
from identity_graph.services.ahead import ahead
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph

#: Profiles of one page.
PAGE = 5_000

_PLAIN = {"STRING": "text", "FLOAT": "number", "BOOLEAN": "boolean"}
_LISTS = {f"LIST<{name}>": f"list of {kind}s" for name, kind in _PLAIN.items()}
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


def export(
    graph: Graph, out: Path, kind: str, segment: str | None, told: Callable[[int], None] = lambda _: None
) -> tuple[int, Path]:
    """Write all profiles, or a segment's members, to a file; how many, and the file that describes the columns.

    ``told`` gets the number of rows so far. Raises :class:`NothingToExport`.
    """
    about: dict[str, Any] = {}
    if segment is not None:
        ((segments,),) = graph.read("segment/list")
        found = next((row for row in segments if row[0] == segment and row[3]), None)
        if found is None:
            raise NothingToExport(f"there is no segment {segment}; `identity-graph segment list` shows those there are")
        about = {"segment": {"name": segment, "version": found[1], "rule": orjson.loads(found[3])}}
    columns = _columns(graph, of_segment=segment is not None)
    many = 0
    with _WRITERS[kind](out, columns) as write:
        for rows in ahead(_pages(graph, segment, [column.property for column in columns if column.property])):
            write(rows)
            many += len(rows)
            told(many)
    described = out.with_name(out.name + ".schema.json")
    shape = {"rows": many, "format": kind, **about, "columns": [{"name": c.name, "type": c.kind} for c in columns]}
    described.write_bytes(orjson.dumps(shape, option=orjson.OPT_INDENT_2))
    return many, described


def _columns(graph: Graph, *, of_segment: bool) -> list[Column]:
    ((rows,),) = graph.read("export/columns", timeout=LONG_READ_TIMEOUT)
    own = [*_OWN, *([_ENTERED] if of_segment else [])]
    taken = {column.name for column in own}
    for property, types in rows:
        kinds = {_kind(type) for type in types}
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


def _pages(graph: Graph, segment: str | None, names: list[str]) -> Iterator[list[Row]]:
    statement, of = ("export/profiles", {}) if segment is None else ("export/members", {"name": segment})
    after = ""
    while True:
        ((rows,),) = graph.read(statement, timeout=LONG_READ_TIMEOUT, **of, names=names, after=after, limit=PAGE)
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _columnwise(rows: Sequence[Row], columns: list[Column]) -> list[Sequence[Any]]:
    """The values of each column."""
    *own, shown = zip(*rows, strict=True)
    of_property = iter(zip(*shown, strict=True))
    return [next(of_property) if column.property else own[_PLACES[column.name]] for column in columns]


_PLACES = {"profile_id": 0, "created_at": 1, "entered_at": 2, "identifiers": 3}


@contextmanager
def _parquet(out: Path, columns: list[Column]) -> Generator[Callable[[Sequence[Row]], None]]:
    schema = pa.schema([(column.name, _ARROW[column.kind]) for column in columns])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:

        def write(rows: Sequence[Row]) -> None:
            writer.write_table(_table(rows, columns, schema))

        yield write


@contextmanager
def _csv(out: Path, columns: list[Column]) -> Generator[Callable[[Sequence[Row]], None]]:
    """A list is one field, as JSON text."""
    flat = [pa.string() if column.kind.startswith("list") else _ARROW[column.kind] for column in columns]
    schema = pa.schema([(column.name, kind) for column, kind in zip(columns, flat, strict=True)])
    with CSVWriter(out, schema) as writer:

        def write(rows: Sequence[Row]) -> None:
            writer.write_table(_table(rows, columns, schema))

        yield write


@contextmanager
def _jsonl(out: Path, columns: list[Column]) -> Generator[Callable[[Sequence[Row]], None]]:
    """An object a line, without what a profile lacks."""
    shown = [column.name for column in columns if column.property]
    with out.open("wb") as file:

        def write(rows: Sequence[Row]) -> None:
            for row in rows:
                told = {"profile_id": row[0], "created_at": as_date(row[1])}
                if row[2] is not None:
                    told["entered_at"] = as_date(row[2])
                told["identifiers"] = row[3]
                told |= {name: value for name, value in zip(shown, row[4], strict=True) if value is not None}
                file.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))

        yield write


_WRITERS = {"parquet": _parquet, "csv": _csv, "jsonl": _jsonl}
FORMATS = tuple(_WRITERS)
"""How a file can be written; also the endings by which a format is recognised."""


def _table(rows: Sequence[Row], columns: list[Column], schema: Any) -> Any:
    arrays: list[Any] = []
    for column, field, values in zip(columns, schema, _columnwise(rows, columns), strict=True):
        if field.type == pa.string() and column.kind != "text":
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
