"""From a file to the normalised table that everything else reads; and the same for one record.

A `Producer` turns some raw columns into some normalised ones. A table is normalised by applying each producer to
the *distinct* values it reads, so a million records cost what their different names and streets cost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from matching import normalise as n
from matching.errors import InputError
from matching.fields import (
    CANONICAL,
    IDENTIFIER_ROLES,
    TEXT_ROLES,
    FieldMap,
    LinkType,
    field_map_from,
    load_field_map,
    named_as_id,
    recognise,
)

Value = str | list[str] | None
Record = dict[str, Value]
RECORDS = "records"
PERSON = "person"  # of `records`; no field is normalised to this name
ROW = '" row"'  # of `raw`; the names of a file's columns are stripped, so none is called this
FILE = '" file"'  # of `raw`: the name of the file, empty where there is one only
LIST_COLUMNS = frozenset({"first_alt", "last_alt"})
_CHUNK = 100_000


def across(link_type: LinkType | None) -> str:
    """What a blocking rule in SQL ends with, where only records of different sources are compared."""
    return " AND l.source <> r.source" if link_type == "link" else ""


@dataclass(frozen=True)
class Producer:
    """`function` maps the values of `inputs` (raw columns) to those of `outputs` (normalised columns)."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: Callable[..., tuple[Value, ...]]


@dataclass(frozen=True)
class Plan:
    """How the records of one mapping are normalised. `notes` are for the report.

    Of two producers with one output the first that has a value gives it.
    """

    producers: tuple[Producer, ...]
    notes: tuple[str, ...]
    day_first: Mapping[str, bool]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(output for producer in self.producers for output in producer.outputs))

    def normalise(self, raw: Mapping[str, str | None]) -> Record:
        """One record: raw values by column name → normalised values by normalised column."""
        record: Record = dict.fromkeys(self.columns)
        for producer in self.producers:
            values = producer.function(*(raw.get(column) for column in producer.inputs))
            record |= {o: v for o, v in zip(producer.outputs, values, strict=True) if record[o] is None}
        return record


def quote(name: str) -> str:
    """A column or table name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text literal for SQL."""
    return "'" + text.replace("'", "''") + "'"


def read_raw(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> list[str]:
    """Load CSV, Parquet or JSON Lines files, united by column name, as table `raw`; gives the column names.

    Everything is text; column `ROW` numbers the rows from 0, `FILE` tells the file. Raises InputError where a file
    cannot be read.
    """
    parts: list[str] = []
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path.name}: no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty; expected a header line and at least two records")
        name = literal(str(path))
        match path.suffix.lower():
            case ".parquet" | ".pq":
                parts.append(f"SELECT * FROM read_parquet({name})")
            case ".jsonl" | ".ndjson" | ".json":
                parts.append(f"SELECT * FROM read_json({name}, maximum_object_size=67108864)")
            case ".csv" | ".tsv" | ".txt" | ".gz":
                parts.append(f"SELECT * FROM {_csv_call(con, name)}")
            case other:
                raise InputError(
                    f"{path.name}: files of type {other or '(none)'} are not read; use CSV, Parquet or JSONL"
                )
    labels = [path.name for path in paths] if len(paths) > 1 else [""]
    if len(set(labels)) < len(labels):
        labels = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    union = " UNION ALL BY NAME ".join(
        f"SELECT *, {literal(label)} AS {FILE} FROM ({part})" for part, label in zip(parts, labels, strict=True)
    )
    try:
        described = con.sql(f"SELECT * FROM ({union}) LIMIT 0")
        kept = [(str(c), t) for c, t in zip(described.columns, described.types, strict=True) if quote(c) != FILE]
        selected = ", ".join(_as_text(c, str(t)) for c, t in kept)
        con.execute(
            f"CREATE OR REPLACE TABLE raw AS SELECT row_number() OVER () - 1 AS {ROW}, {FILE}, {selected} "
            f"FROM ({union})"
        )
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{paths[0].name} cannot be read: {first[:200]}") from error
    return [c.strip() for c, _ in kept]


def _as_text(column: str, kind: str) -> str:
    out = quote(column.strip())
    return f"CAST({quote(column)} AS VARCHAR) AS {out}" if kind != "VARCHAR" else f"{quote(column)} AS {out}"


def _csv_call(con: duckdb.DuckDBPyConnection, name: str) -> str:
    options = "all_varchar=true, header=true, max_line_size=67108864, buffer_size=134217728"
    strict = f"read_csv({name}, {options})"
    try:
        con.execute(f"SELECT count(*) FROM {strict}")
    except duckdb.Error:
        return f"read_csv({name}, {options}, strict_mode=false, null_padding=true, encoding='latin-1')"
    return strict


def field_map(
    con: duckdb.DuckDBPyConnection, columns: Sequence[str], mapping: Path | Mapping[str, Any] | None
) -> FieldMap:
    """The map of the table `raw`: from a file, from a parsed mapping, or recognised.

    Raises InputError where nothing is recognised, or where the id repeats within a source.
    """
    counts = con.sql(
        "SELECT count(*), " + ", ".join(f"count(DISTINCT {quote(c)})" for c in columns) + " FROM raw"
    ).fetchone()
    assert counts is not None
    unique = {column: distinct == counts[0] for column, distinct in zip(columns, counts[1:], strict=True)}
    if mapping is None:
        found = recognise(columns, unique)
    elif isinstance(mapping, Path):
        found = load_field_map(mapping, columns, unique)
    else:
        found = field_map_from(mapping, columns, unique)
    if not found.fields and not found.identifiers:
        raise InputError(
            f"no column was recognised as a name, date of birth, contact or identifier (columns: "
            f"{', '.join(columns[:20])}); write a mapping file with `fields: {{canonical: COLUMN}}`"
        )
    if found.id is not None and not unique[found.id]:
        _check_ids(con, found)
    return found


def passed_over(con: duckdb.DuckDBPyConnection, columns: Sequence[str], fields: FieldMap) -> list[str]:
    """For the report: columns of `raw` that are named as an id and cannot be one, where rows are numbered instead."""
    used = {fields.id, fields.source, *fields.identifiers.values(), *chain.from_iterable(fields.fields.values())}
    return [
        f"column {column!r} is named as an id, but {repeated:,} of its values repeat or are missing, so rows are "
        "numbered instead; where ids are unique within a source, a mapping file with `id` and `source` makes use of it"
        for column in columns
        if fields.id is None and named_as_id(column) and column not in used
        for (repeated,) in con.sql(f"SELECT count(*) - count(DISTINCT {quote(column)}) FROM raw").fetchall()
    ]


def _check_ids(con: duckdb.DuckDBPyConnection, found: FieldMap) -> None:
    key = quote(found.id or "")
    missing, repeated = con.sql(
        f"SELECT count(*) - count({key}), count({key}) - count(DISTINCT {key}) FROM raw"
    ).fetchall()[0]
    if missing:
        raise InputError(f"column {found.id!r} is the record id, but {missing} rows have none")
    within = quote(found.source) if found.source else FILE
    doubled = con.sql(
        f"SELECT count(*) FROM (SELECT 1 FROM raw GROUP BY {key}, {within} HAVING count(*) > 1)"
    ).fetchall()[0][0]
    if doubled:
        raise InputError(
            f"column {found.id!r} is the record id, but {repeated} rows repeat an id; give every row its own id, "
            f"name the column that holds the source, or leave `id` out to number the rows"
        )


def make_plan(fields: FieldMap, order_of: Callable[[str], n.DateOrder]) -> Plan:
    """Decide how each raw column is normalised. `order_of` tells how a column's all-digit dates are to be read."""
    have = dict(fields.fields)
    producers: list[Producer] = []
    notes: list[str] = []
    orders: dict[str, bool] = {}

    def columns(role: str) -> tuple[str, ...]:
        return have.get(role, ())

    producers += _name_producers(columns)
    if columns("dob"):
        column = columns("dob")[0]
        if len(columns("dob")) == 3:
            producers.append(Producer(columns("dob"), ("dob",), _date_of_parts))
        else:
            order = order_of(column)
            orders[column] = order.day_first
            if order.ambiguous:
                read = "day first" if order.day_first else "month first"
                notes.append(
                    f"{column}: {order.ambiguous} dates can be read two ways; read {read}, as {order.day_first_seen} "
                    f"others can only be day first and {order.month_first_seen} only month first. "
                    "Two dates that agree with day and month exchanged count as such."
                )
            producers.append(Producer((column,), ("dob",), partial(_date, order.day_first)))
    elif all(columns(f"birth_{part}") for part in ("year", "month", "day")):
        parts = tuple(columns(f"birth_{part}")[0] for part in ("year", "month", "day"))
        producers.append(Producer(parts, ("dob",), _date_of_parts))
    elif columns("birth_year"):
        producers.append(_single(columns("birth_year"), "birth_year", n.birth_year))
    elif columns("age"):
        producers.append(_single(columns("age"), "birth_year", n.birth_year_at_age))
    for role, function in (("gender", n.gender), ("postcode", n.postcode), ("city", n.ascii_words),
                           ("region", n.ascii_words)):  # fmt: skip
        if columns(role) and not (role == "postcode" and columns("address_full")):
            producers.append(_single(columns(role), role, function))
    if columns("phone"):
        producers.append(_phone_producer(columns("phone"), columns("country")))
    if columns("email"):
        producers.append(Producer(columns("email"), ("email", "email_user"), _email))
    if columns("street") or columns("address_full"):
        producers.append(_address_producer(columns))
    for role in TEXT_ROLES:
        if columns(role):
            function = n.organisation if role in ("organisation", "employer") else n.ascii_words
            producers.append(_single(columns(role), f"text_{role}", function))
    if columns("address_2"):
        producers.append(_single(columns("address_2"), "text_address_2", n.ascii_words))
    for role in have:
        if role not in CANONICAL:
            producers.append(_single(columns(role), f"text_{role}", n.ascii_words))
    namespaces = {role: columns(role) for role in IDENTIFIER_ROLES if columns(role)}
    for namespace, column in fields.identifiers.items():
        if namespace == "email" and "email" not in have:
            producers.append(Producer((column,), ("email", "email_user"), _email))
        elif namespace == "phone" and "phone" not in have:
            producers.append(_phone_producer((column,), columns("country")))
        else:
            namespaces[namespace] = (*namespaces.get(namespace, ()), column)
    for namespace, cols in namespaces.items():
        producers.append(_single(cols, f"id_{namespace}", n.identifier))
    return Plan(tuple(producers), tuple(notes), orders)


def as_read(fields: FieldMap, plan: Plan) -> FieldMap:
    """The map without what is named and not read, such as a country where there is no phone to be read by it."""
    read = {column for producer in plan.producers for column in producer.inputs}
    kept = {role: tuple(c for c in columns if c in read) for role, columns in fields.fields.items()}
    idle = [c for columns in fields.fields.values() for c in columns if c not in read]
    unused = tuple(dict.fromkeys([*fields.unused, *idle]))
    return replace(fields, fields={role: columns for role, columns in kept.items() if columns}, unused=unused)


def _single(columns: tuple[str, ...], output: str, function: Callable[[str | None], str | None]) -> Producer:
    """The first of `columns` that has a value."""

    def first(*values: str | None) -> tuple[Value, ...]:
        return (next((found for value in values if (found := function(value)) is not None), None),)

    return Producer(columns, (output,), first)


def _phone_producer(phones: tuple[str, ...], countries: tuple[str, ...]) -> Producer:
    def first(*values: str | None) -> tuple[Value, ...]:
        """The first that has a value, as a number of the record's country where it has no country code."""
        country = _first_of(values[len(phones) :])
        return (next((p for value in values[: len(phones)] if (p := n.phone(value, country)) is not None), None),)

    return Producer((*phones, *countries), ("phone",), first)


def _email(*values: str | None) -> tuple[Value, ...]:
    found = next((e for value in values if (e := n.email(value)) is not None), None)
    return found, found.split("@")[0] if found else None


_FIRST = ("first_name", "first_alt", "middle_name", "suffix")
_LAST = ("last_name", "last_alt", "suffix")


def _name_producers(columns: Callable[[str], tuple[str, ...]]) -> list[Producer]:
    first, middle, last = columns("first_name"), columns("middle_name"), columns("last_name")
    extra, suffix = columns("last_name_2"), columns("suffix")
    whole = (*columns("full_name"), *columns("native_name"))
    if not (first or last or whole):
        return []

    def given(*values: str | None) -> tuple[str | None, list[str] | None, str | None, str | None]:
        name, others, generation = n.given_names(_first_of(values[: len(first)]), _join(values[len(first) :]))
        return name, n.spellings(name, others), others, generation

    def family(*values: str | None) -> tuple[str | None, list[str] | None, str | None]:
        main = _first_of(values[: len(last)])
        second = _first_of(values[len(last) : len(last) + len(extra)])
        name, generation = n.family_name(main)
        generation = n.generation(_first_of(values[len(last) + len(extra) :])) or generation
        return name, n.family_parts(_join([main, second])), generation

    def both(*values: str | None) -> tuple[Value, ...]:
        """From the whole name where a record has neither part."""
        at = len(first) + len(middle)
        own, text = values[: -len(whole)], _first_of(values[-len(whole) :])
        given_name, spellings, others, given_suffix = given(*own[:at])
        family_name, parts, generation = family(*own[at:])
        generation = generation or given_suffix
        if given_name is None and family_name is None:
            name = n.full_name(text)
            middle_name = others or name.middle
            given_name, spellings, others = name.first, n.spellings(name.first, middle_name), middle_name
            generation = n.generation(_first_of(own[at + len(last) + len(extra) :])) or name.suffix
            family_name, parts = name.last, n.family_parts(name.last)
        return given_name, spellings, others, family_name, parts, generation

    if whole:
        return [Producer((*first, *middle, *last, *extra, *suffix, *whole), (*_FIRST[:-1], *_LAST), both)]
    out: list[Producer] = []
    if last:
        out.append(Producer((*last, *extra, *suffix), _LAST, family))
    if first or middle:
        out.append(Producer((*first, *middle), _FIRST, given))
    return out


def _address_producer(columns: Callable[[str], tuple[str, ...]]) -> Producer:
    number, street, full = columns("house_number"), columns("street"), columns("address_full")
    code = columns("postcode") if full else ()
    outputs = ("house_number", "street", *(("postcode",) if full else ()))

    def address(*values: str | None) -> tuple[Value, ...]:
        it = iter(values)
        nu, st, fu, pc = ([next(it) for _ in group] for group in (number, street, full, code))
        parsed = n.street_line(_first_of(st) or _first_of(fu))
        found = n.house_number(_first_of(nu)) or parsed.house_number, parsed.street
        return (*found, n.postcode(_first_of(pc)) or parsed.postcode) if full else found

    return Producer((*number, *street, *full, *code), outputs, address)


def _first_of(values: Sequence[str | None]) -> str | None:
    return next((v for v in values if n.clean(v) is not None), None)


def _join(values: Sequence[str | None]) -> str | None:
    return " ".join(v for v in values if v and n.clean(v) is not None) or None


def date_order_in(con: duckdb.DuckDBPyConnection, column: str) -> n.DateOrder:
    """How the all-digit dates of a column of `raw` are to be read, from those that can be read one way only."""
    rows = con.sql(
        f"SELECT {quote(column)}, count(*) FROM raw WHERE {quote(column)} IS NOT NULL "
        f"AND length({quote(column)}) <= 10 AND {quote(column)} NOT LIKE '____-%' GROUP BY 1 LIMIT 200000"
    ).fetchall()
    return n.date_order({str(value): int(count) for value, count in rows})


def normalise_table(
    con: duckdb.DuckDBPyConnection, fields: FieldMap, plan: Plan, progress: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Fill table `records`: `rid`, `record_id`, `source`, the plan's columns, and `person` where the mapping names one;
    one row for each row of `raw`. Gives notes for the report.

    `rid` counts records in the order of their ids, so that what follows does not depend on the order of the file.
    """
    joins: list[str] = []
    notes: list[str] = []
    made: dict[str, list[str]] = {}
    known = (_single((fields.person,), PERSON, n.clean),) if fields.person else ()
    producers = (*plan.producers, *known)
    for index, producer in enumerate(producers):
        progress(f"normalising {', '.join(producer.inputs)}")
        table = f"norm_{index}"
        inputs = ", ".join(f"{quote(c)} AS i{k}" for k, c in enumerate(producer.inputs))
        schema = ", ".join(
            [f"i{k} VARCHAR" for k in range(len(producer.inputs))]
            + [f"{quote(o)} VARCHAR{'[]' if o in LIST_COLUMNS else ''}" for o in producer.outputs]
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({schema})")
        any_value = " OR ".join(f"{quote(c)} IS NOT NULL" for c in producer.inputs)
        reader = con.cursor().execute(f"SELECT DISTINCT {inputs} FROM raw WHERE {any_value}").to_arrow_reader(_CHUNK)
        for chunk in _apply(reader, producer):
            con.register("chunk", chunk)
            con.execute(f"INSERT INTO {table} SELECT * FROM chunk")
            con.unregister("chunk")
        on = " AND ".join(f"{table}.i{k} IS NOT DISTINCT FROM raw.{quote(c)}" for k, c in enumerate(producer.inputs))
        joins.append(f"LEFT JOIN {table} ON {on}")
        if producer.outputs == ("dob",):
            notes += _of_dates(con, producer.inputs, table, on)
        for output in producer.outputs:
            made.setdefault(output, []).append(f"{table}.{quote(output)}")
    selected = [f"coalesce({', '.join(places)}) AS {quote(output)}" for output, places in made.items()]
    record_id = f"raw.{quote(fields.id)}" if fields.id else f"CAST(raw.{ROW} + 1 AS VARCHAR)"
    source = f"coalesce(raw.{quote(fields.source)}, '')" if fields.source else f"raw.{FILE}"
    con.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT row_number() OVER (ORDER BY {source}, {record_id}, raw.{ROW}) "
        f"- 1 AS rid, {record_id} AS record_id, {source} AS source, {', '.join(selected)} FROM raw {' '.join(joins)} "
        "ORDER BY 1"
    )
    for index in range(len(producers)):
        con.execute(f"DROP TABLE norm_{index}")
    return notes


def _of_dates(con: duckdb.DuckDBPyConnection, columns: Sequence[str], table: str, on: str) -> list[str]:
    """How many dates of birth could not be read, and how many have years of two digits."""
    name = " + ".join(columns)
    written = " || ' ' || ".join(f"coalesce({table}.i{k}, '')" for k in range(len(columns)))
    rows = f"FROM raw JOIN {table} ON {on} WHERE {table}.dob"
    notes: list[str] = []
    unread = con.execute(f"SELECT trim({written}), count(*) {rows} IS NULL GROUP BY 1").fetchall()
    if many := sum(count for value, count in unread if n.clean(value) is not None):
        notes.append(f"{name}: {many:,} dates could not be read, or are of no birth, and count as missing")
    short = (
        f"regexp_matches(trim({written}), '[^0-9][0-9]{{2}}$') AND NOT regexp_matches(trim({written}), '^[0-9]{{4}}')"
    )
    ((many,),) = con.execute(f"SELECT count(*) {rows} IS NOT NULL AND {short}").fetchall()
    if many and len(columns) == 1:  # of three columns the last need not be the year
        notes.append(f"{name}: {many:,} dates have a year of two digits; each was read as of the last hundred years")
    return notes


def set_doubles_aside(con: duckdb.DuckDBPyConnection, columns: Sequence[str], cap: int) -> int:
    """Move all but the first of more than `cap` equal records to table `doubles` (record_id, source, rid of the first).

    No block would hold them, and as strangers they would hide what agreement says. Where chance makes so many, as with
    people of whom a common name is all that is known, they stay: records · Π share of a column's commonest value ≥ 1,
    among the records that are in no such group.
    """
    con.execute("CREATE OR REPLACE TABLE doubles (record_id VARCHAR, source VARCHAR, rid BIGINT)")
    key = f"hash({', '.join(quote(c) for c in columns)})"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE many AS SELECT {key} AS k, min(rid) AS rid FROM {RECORDS} GROUP BY 1 "
        f"HAVING count(*) > {cap}"
    )
    groups = con.sql("SELECT count(*) FROM many").fetchall()[0][0]
    plain = [quote(c) for c in columns if c not in LIST_COLUMNS]
    if not groups:
        return 0
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE others AS SELECT {', '.join(plain)} FROM {RECORDS} "
        f"WHERE {key} NOT IN (SELECT k FROM many)"
    )
    if not con.sql("SELECT count(*) FROM others").fetchall()[0][0]:
        return 0
    bits = [
        f"CASE WHEN {c} IS NULL THEN 0 ELSE (SELECT log2(max(n) / sum(n)) "
        f"FROM (SELECT count(*) AS n FROM others WHERE {c} IS NOT NULL GROUP BY {c})) END"
        for c in plain
    ]
    con.execute(
        f"DELETE FROM many WHERE rid NOT IN (SELECT rid FROM {RECORDS} JOIN many USING (rid) WHERE "
        f"log2((SELECT count(*) FROM {RECORDS})) + {' + '.join(bits)} < 0)"
    )
    those = f"FROM {RECORDS} r JOIN many ON many.k = {key} WHERE r.rid <> many.rid"
    con.execute(f"INSERT INTO doubles SELECT record_id, source, many.rid {those}")
    con.execute(f"DELETE FROM {RECORDS} WHERE rid IN (SELECT r.rid {those})")
    moved = con.sql("SELECT count(*) FROM doubles").fetchall()[0][0]
    if moved:
        con.execute(f"CREATE TABLE renumbered AS SELECT row_number() OVER (ORDER BY rid) - 1 AS new, * FROM {RECORDS}")
        con.execute("UPDATE doubles SET rid = renumbered.new FROM renumbered WHERE doubles.rid = renumbered.rid")
        con.execute(
            f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT new AS rid, * EXCLUDE (new, rid) FROM renumbered ORDER BY new"
        )
        con.execute("DROP TABLE renumbered")
    return moved


def _date_of_parts(year: str | None, month: str | None, day: str | None) -> tuple[str | None]:
    return (n.date_from_parts(year, month, day),)


def _date(day_first: bool, value: str | None) -> tuple[str | None]:
    return (n.date(value, day_first),)


def _apply(reader: Any, producer: Producer) -> Iterator[Any]:
    width = len(producer.outputs)
    for batch in reader:
        columns = [column.to_pylist() for column in batch.columns]
        results = [producer.function(*values) for values in zip(*columns, strict=True)]
        outputs = list(zip(*results, strict=True)) if results else [[] for _ in range(width)]
        arrays = list(batch.columns)
        names = [f"i{k}" for k in range(len(columns))]
        for name, values in zip(producer.outputs, outputs, strict=True):
            kind = pa.list_(pa.string()) if name in LIST_COLUMNS else pa.string()
            arrays.append(pa.array(values, type=kind))
            names.append(name)
        yield pa.table(arrays, names=names)
