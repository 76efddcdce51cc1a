"""Batches of observations out of a file: rows recognised, parsed and normalised, and remarks on what was not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from itertools import combinations, islice
from pathlib import Path
from typing import Any, cast

import orjson

from identity_graph.domain.events import Event
from identity_graph.domain.evidence import Observation
from identity_graph.domain.identifiers import Identifier
from identity_graph.domain.intake import MAX_SHOWN, Rejection, parse_observation
from identity_graph.domain.rules import Rules
from identity_graph.services.ingest_fields import Columns
from identity_graph.services.ingest_files import BadRow, Place, Reader, Row, open_rows

#: Rows of one batch: the unit of what is handed over and of what a transaction takes at least.
BATCH = 250
#: Names of left-out keys that are told of one file.
_MOST_NAMED = 20

Packed = tuple[Any, ...]
"""An observation as plain values: sending one and rebuilding it costs a third of parsing it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A file and how its rows are to be read; ``at`` is the moment of rows that tell none. Times in microseconds.

    ``begin`` is how far an earlier run came.
    """

    path: Path
    source: str | None
    columns: Columns
    rules: Rules
    at: int
    now: int
    begin: Place | None = None


@dataclass(slots=True)
class Batch:
    """Some rows of a file: the observations, each with the line it is from, and what could not be taken.

    ``place`` is where its last row ends. ``resumed``: the file goes on from where the earlier run came.
    """

    resumed: bool = False
    rows: int = 0
    place: Place = field(default_factory=Place)
    packed: list[Packed] = field(default_factory=list[Packed])
    lines: list[int] = field(default_factory=list[int])
    remarks: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notices: dict[str, int] = field(default_factory=dict[str, int])

    def observations(self) -> list[Observation]:
        return [unpack(packed) for packed in self.packed]

    def extend(self, other: "Batch") -> None:
        """Take in the batch that follows."""
        self.rows += other.rows
        self.place = other.place
        self.packed += other.packed
        self.lines += other.lines
        self.remarks += other.remarks
        for sentence, times in other.notices.items():
            self.notices[sentence] = self.notices.get(sentence, 0) + times


def pack(o: Observation) -> Packed:
    identifiers = [(i.namespace, i.value, i.raw, i.blocked) for i in o.identifiers]
    links = [id for _, _, id in o.pairs]
    event = (o.event.type, o.event.properties, o.event.amount) if o.event else None
    return o.id, o.source, o.observed_at, identifiers, o.digest, o.record_id, o.traits, links, event


def unpack(packed: Packed) -> Observation:
    """The inverse of :func:`pack`."""
    id, source, at, values, digest, record_id, traits, links, event = packed
    identifiers = tuple([Identifier(ns, value, raw, f"{ns}:{value}", junk) for ns, value, raw, junk in values])
    pairs = tuple(
        [
            (one.key, other.key, link) if one.key < other.key else (other.key, one.key, link)
            for (one, other), link in zip(combinations(identifiers, 2), links, strict=True)
        ]
    )
    return Observation(id, source, at, identifiers, digest, record_id, traits, pairs, Event(*event) if event else None)


# ------------------------------------------------------------------------------------------------ files


def batches(task: Task, part: int = 0, parts: int = 1) -> Iterator[Batch]:
    """The batches of a file in order, or every so-manieth of them; the last one may be empty.

    Raises :class:`UnreadableFile`.
    """
    with open_rows(task.path) as reader:
        resumed = task.begin is not None and reader.skip(task.begin)
        rows = reader.rows()
        at = 0
        more = True
        while more:
            some = list(islice(rows, BATCH))
            more = len(some) == BATCH
            if at % parts == part:
                yield _batch(some, reader, task, resumed)
            at += 1


def _batch(rows: list[Row | BadRow], reader: Reader, task: Task, resumed: bool) -> Batch:
    batch = Batch(resumed, len(rows), reader.place())
    for row in rows:
        if isinstance(row, BadRow):
            unreadable = Rejection(None, "UNREADABLE_ROW", row.reason)
            batch.remarks.append(remark(row.number, unreadable, {"row": row.text}))
        else:
            take(row, task, batch)
    for sentence, times in reader.notices.counts.items():
        batch.notices[sentence] = batch.notices.get(sentence, 0) + times
    reader.notices.counts.clear()
    return batch


# ------------------------------------------------------------------------------------------------ rows


def take(row: Row, task: Task, batch: Batch) -> None:
    """Put what a row says into a batch: an observation, or the remark why not."""
    is_observation = isinstance(row.cells.get("identifiers"), list)
    try:
        raw = _as_observation(row.cells, task, batch) if is_observation else _as_record(row.cells, task)
    except _NotTaken as e:
        taken = Rejection(None, "INVALID_OBSERVATION", str(e), (e.field,))
        batch.remarks.append(remark(row.number, taken, _itself(row)))
        return
    taken = _parsed(raw, task)
    while isinstance(taken, Rejection) and not is_observation and _drop(taken, raw):
        # One bad cell does not lose the row: it is taken without that cell, and the file of rejections says so.
        batch.remarks.append(remark(row.number, taken, _itself(row), "warning"))
        taken = _parsed(raw, task)
    if isinstance(taken, Rejection):
        batch.remarks.append(remark(row.number, taken, _itself(row)))
    else:
        batch.packed.append(pack(taken))
        batch.lines.append(row.number)


def _parsed(raw: dict[str, Any], task: Task) -> Observation | Rejection:
    return parse_observation(raw, task.rules, task.now if "observedAt" in raw else task.at)


def _drop(rejection: Rejection, raw: dict[str, Any]) -> bool:
    """Take the cell that was rejected out of a record, if the record can do without."""
    match rejection.path:
        case ("identifiers", int(at), *_):
            del raw["identifiers"][at]
        case ("observedAt",):
            del raw["observedAt"]
        case ("traits", str(shown)):
            del raw["traits"][next(name for name in raw["traits"] if name[:MAX_SHOWN] == shown)]
        case _:
            return False
    return True


def remark(line: int, rejection: Rejection, rest: Mapping[str, Any], severity: str = "error") -> dict[str, Any]:
    """A line of the file of rejections. ``severity`` is ``warning`` where the row was taken nevertheless."""
    return {
        "line": line,
        "severity": severity,
        "code": rejection.code,
        "field": ".".join(map(str, rejection.path)),
        "reason": rejection.message,
        **rest,
    }


def _itself(row: Row) -> dict[str, Any]:
    """The row, so that it can be mended and taken again."""
    return {"row": _plain(row.cells)}


class _NotTaken(Exception):
    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


_OBSERVATION = {
    **{name: name for name in ("id", "source", "observedAt", "recordId", "identifiers", "traits", "event")},
    "observed_at": "observedAt",
    "record_id": "recordId",
}


def _as_observation(cells: Mapping[str, Any], task: Task, batch: Batch) -> dict[str, Any]:
    """A row in the form of SubmitLinks, also with Python's names, and with an id where it has none."""
    raw: dict[str, Any] = {}
    for name, value in cells.items():
        known = _OBSERVATION.get(name)
        if known is None:
            if len(batch.notices) < _MOST_NAMED:
                batch.notices[f"the key {name[:64]!r} is none of an observation's and was left out"] = 1
        elif value is not None:
            raw[known] = value
    raw.setdefault("source", task.source)
    if raw["source"] is None:
        raise _NotTaken("the row has no source; give one with --source", "source")
    if isinstance(raw.get("id"), int):
        raw["id"] = str(raw["id"])
    if "id" not in raw:
        raw["id"] = _named_by_content(raw)
    return raw


def _as_record(cells: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """A record as an observation: traits by their canonical names, all other columns by their own."""
    columns = task.columns
    if not cells:
        raise _NotTaken("the row says nothing", "")
    rest = {name: plain for name, value in cells.items() if (plain := _plain(value)) is not None}
    raw: dict[str, Any] = {"source": task.source}
    if columns.source and columns.source in rest:
        raw["source"] = _name(rest.pop(columns.source), columns.source)
    if raw["source"] is None:
        raise _NotTaken("nothing says which system the row is from; give it with --source", "source")
    if columns.observed_at and columns.observed_at in rest:
        raw["observedAt"] = _moment(rest.pop(columns.observed_at))
    raw["identifiers"] = [
        {"namespace": namespace, "value": _whole(value)}
        for namespace, column in columns.identifiers
        if column in rest
        for value in _listed(rest[column])
    ]
    used = {column for _, column in columns.identifiers}
    traits: dict[str, Any] = {}
    for name, candidates in columns.fields:
        filled = next((column for column in candidates if column in rest), None)
        if filled:
            traits[name] = rest[filled]
            used.add(filled)
    if columns.id:
        used.add(columns.id)
    for name, value in rest.items():
        if name not in used:
            traits[f"{name} (column)" if name in traits else name] = value
    raw["traits"] = traits
    if columns.id and columns.id in rest:
        raw["recordId"] = _name(rest[columns.id], columns.id)
    else:
        raw["recordId"] = _named_by_content(raw)
    raw["id"] = _named_by_content(raw)
    return raw


def _named_by_content(raw: Mapping[str, Any]) -> str:
    """An id that follows from what is said, so that a file that is taken twice says it once."""
    try:
        content = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise _NotTaken("a value is no plain JSON", "") from None
    return "row-" + blake2b(content, digest_size=16).hexdigest()


def _name(value: object, column: str) -> str:
    whole = _whole(value)
    if not isinstance(whole, str):
        raise _NotTaken(f"{column} must be a text or a whole number", column)
    return whole.strip()


def _whole(value: object) -> object:
    """A number as the text that people write: a column of whole numbers with gaps often comes as 42.0."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listed(value: object) -> list[object]:
    values = cast(list[object], value) if isinstance(value, list) else [value]
    return [one for one in values if one is not None]


def _moment(value: object) -> object:
    """ISO 8601 as it is; a number, also as text, as seconds, milli-, micro- or nanoseconds since 1970 by its size."""
    number = float(value) if isinstance(value, str) and len(value) > 8 and value.isdecimal() else value
    if not isinstance(number, int | float) or isinstance(number, bool) or number < 0:
        return value
    scale = next((scale for limit, scale in ((1e11, 1), (1e14, 1e3), (1e17, 1e6)) if number < limit), 1e9)
    try:
        return datetime.fromtimestamp(number / scale, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return value


def _plain(value: object) -> Any:
    """A value as JSON has it; None for what says nothing. Parquet also has decimals, bytes, dates and NaN."""
    match value:
        case str():
            return value if value and not value.isspace() else None
        case None | bool() | int():
            return value
        case float():
            return value if abs(value) < float("inf") else None
        case dict():
            return {str(name): _plain(one) for name, one in cast(dict[object, object], value).items()}
        case list() | tuple():
            return [_plain(one) for one in cast(list[object], value)]
        case bytes():
            return value.decode("utf-8", "replace")
        case Decimal():
            return str(value)
        case _:
            # Dates, times and time stamps; a time stamp's own text has a blank where ISO 8601 has a T.
            return str(value).replace(" ", "T", 1) if isinstance(value, datetime) else str(value)
