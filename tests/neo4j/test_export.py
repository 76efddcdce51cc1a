"""Exports: every profile with its traits, whatever others write meanwhile."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow.csv import read_csv
from sending import said
from typer.testing import CliRunner

from identity_graph.cli_segments import export_app
from identity_graph.domain.events import AGGREGATES, DAY, Declared, What
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import as_date
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import export
from identity_graph.services.active_rules import active_rules
from identity_graph.services.lookup import Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph

RULES = Rules()
KINDS = pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])


def seen(id: str, *keys: str, day: int = 0, event: tuple[str, float | None] | None = None, **more: Any) -> Observation:
    if event:
        type, value = event
        more["event"] = {"type": type, "properties": {} if value is None else {"value": value}}
    return said(id, *keys, observedAt=(EPOCH + timedelta(days=day)).isoformat(), **more)


def read_back(file: Path) -> list[dict[str, Any]]:
    match file.suffix:
        case ".parquet":
            return pq.read_table(file).to_pylist()
        case ".csv":
            return read_csv(file).to_pylist()
        case _:
            return [json.loads(line) for line in file.read_text().splitlines()]


@KINDS
def test_profiles_are_exported_with_their_traits_and_the_shape_of_the_file(
    graph: Graph, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    given: list[dict[str, Any]] = [{"n": n, "tags": ["a", "b"], "mixed": n if n % 2 else "x"} for n in range(5)]
    batch = [seen(f"o{n}", f"email:{n}@x.example", traits=traits) for n, traits in enumerate(given)]
    write_batch(graph, [*batch, seen("bare", "device_id:d")], RULES)
    Segments(graph, RULES, now).define("some", "", {"trait": {"name": "n", "atLeast": 3}}, "test")
    out = tmp_path / f"all.{kind}"
    found = export.export(graph, out, kind, None)
    assert (found.rows, found.left_out) == (6, {})
    columns = json.loads(found.described.read_bytes())["columns"]
    assert [(c["name"], c["type"]) for c in columns] == [
        ("profile_id", "text"),
        ("created_at", "moment"),
        ("identifiers", "list of texts"),
        ("favourite_channel", "text"),
        ("first_seen", "text"),
        ("last_purchase", "text"),
        ("last_seen", "text"),
        ("lifetime_value", "number"),
        ("mixed", "json"),
        ("n", "number"),
        ("tags", "list of texts"),
    ]
    rows = sorted(read_back(out), key=lambda row: str(row["identifiers"]))
    assert [row.get("n") for row in rows] == [None, 0.0, 1.0, 2.0, 3.0, 4.0]
    lists = '["a","b"]' if kind == "csv" else ["a", "b"]
    assert [row.get("tags") or None for row in rows] == [None, *[lists] * 5]
    some = export.export(graph, tmp_path / f"some.{kind}", kind, "some")
    assert (some.rows, json.loads(some.described.read_bytes())["segment"]["name"]) == (2, "some")
    assert all(row["entered_at"] for row in read_back(tmp_path / f"some.{kind}"))
    with pytest.raises(export.NothingToExport, match="no segment other"):
        export.export(graph, out, kind, "other")


@KINDS
def test_aggregates_are_exported_as_golden_records_have_them(graph: Graph, tmp_path: Path, kind: str) -> None:
    """Of equally many events the first source by name; what a source says of such a name goes before."""
    write_batch(
        graph,
        [
            seen("o1", "user_id:1", "device_id:1", event=("purchase", 2.5)),
            seen("o2", "user_id:1", day=1, source="app", event=("page", None)),
            seen("o3", "user_id:1", "device_id:2", day=2, event=("purchase", 1)),
            seen("o4", "user_id:1", day=3, source="app", event=("page", None)),
            seen("o5", "user_id:2", traits={"lifetime_value": 9, "first_seen": "2001-02-03"}, event=("purchase", 1)),
            seen("o6", "user_id:3"),
        ],
        RULES,
    )
    export.export(graph, tmp_path / f"all.{kind}", kind, None)
    rows = read_back(tmp_path / f"all.{kind}")
    found = {row["profile_id"]: plain(row) for row in rows}
    first, purchase, last = (as_date(day * DAY) for day in (0, 2, 3))
    assert sorted(found.values()) == sorted(
        [
            ["app", first, purchase, last, "3.5"],
            ["web", "2001-02-03", first, first, "9"],
            ["", first, "", first, ""],
        ]
    )
    with ThreadPoolExecutor(1) as readers:
        profiles = Profiles(graph, RULES, Lookup(graph, RULES, readers), readers)
        for id, told in found.items():
            golden = asyncio.run(profiles.golden_record(id))
            assert plain({one.name: one.chosen.value for one in golden}) == told


@KINDS
def test_declared_aggregates_are_exported_as_golden_records_have_them(
    graph: Graph, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever sources say of their names, also where that is the name of another column."""
    monkeypatch.setattr(export, "PAGE", 2)
    today = now() // DAY
    declared = {"orders": Declared("purchase"), "identifiers": Declared("", What.SUM, 30), "nobody": Declared("none")}
    rules = replace(RULES, aggregates=declared)
    active_rules(graph, rules, now())
    batch = [
        seen("o1", "user_id:1", day=today - 40, event=("purchase", 2.5)),
        seen("o2", "user_id:1", day=today, source="app", event=("purchase", 1)),
        seen("o3", "user_id:2", day=today, traits={"orders": "many", "nobody": 1}, event=("page", None)),
        seen("o4", "user_id:3", day=today),
    ]
    write_batch(graph, batch, rules)
    reads: list[str] = []
    read = Graph.read
    monkeypatch.setattr(Graph, "read", lambda self, name, *a, **k: reads.append(name) or read(self, name, *a, **k))
    found = export.export(graph, tmp_path / f"all.{kind}", kind, None)
    assert (found.left_out, reads.count("event/declared")) == ({}, 2)
    rows = {row["profile_id"]: row for row in read_back(tmp_path / f"all.{kind}")}
    columns = {name: "trait:identifiers" if name == "identifiers" else name for name in declared}
    told = {id: {name: row.get(column) for name, column in columns.items()} for id, row in rows.items()}
    kinds = {c["name"]: c["type"] for c in json.loads(found.described.read_bytes())["columns"]}
    assert [kinds[column] for column in columns.values()] == ["number"] * 3
    assert {tuple(row.values()) for row in told.values()} == {(2, 1, None), (None, 0, None), (None, None, None)}
    with ThreadPoolExecutor(1) as readers:
        profiles = Profiles(graph, rules, Lookup(graph, rules, readers), readers)
        for id, values in told.items():
            golden = {one.name: one.chosen.value for one in asyncio.run(profiles.golden_record(id))}
            assert {name: golden.get(name) for name in declared} == values


def plain(row: dict[str, Any]) -> list[str]:
    """Aggregates by name as texts: CSV has no nulls among texts and is read with dates, JSON has one kind of number."""
    values = (row.get(name) for name in sorted(AGGREGATES))
    return [text(value) for value in values]


def text(value: Any) -> str:
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case int() | float():
            return f"{value:g}"
        case _:
            return value or ""


#: What is said of somebody while an export goes on, whose traits were a number, a flag, a list and a text.
LATER: dict[str, Any] = {"n": "many", "ok": 1, "tags": "b", "name": 5, "new": 1}


def changing(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the types of traits change after an export has chosen its columns."""
    write_batch(
        graph,
        [seen(f"o{n}", f"user_id:u{n}", traits={"n": n, "ok": True, "tags": ["a"], "name": "x"}) for n in range(4)],
        RULES,
    )
    pages_of = export._pages  # pyright: ignore[reportPrivateUsage]

    def then_changed(*asked: Any) -> Any:
        write_batch(graph, [seen("late", "user_id:u3", day=1, traits=LATER)], RULES)
        return pages_of(*asked)

    monkeypatch.setattr(export, "_pages", then_changed)


@KINDS
def test_a_value_whose_type_changes_during_an_export_is_left_out_and_told(
    graph: Graph, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(graph, monkeypatch)
    found = export.export(graph, tmp_path / f"all.{kind}", kind, None)
    assert (found.rows, found.left_out) == (4, dict.fromkeys(("n", "ok", "tags", "name"), 1))
    described = json.loads(found.described.read_bytes())["columns"]
    assert {c["name"]: c["left_out"] for c in described if "left_out" in c} == found.left_out
    rows = read_back(tmp_path / f"all.{kind}")
    assert sorted(row["n"] for row in rows if row.get("n") is not None) == [0.0, 1.0, 2.0]
    assert not any("new" in row for row in rows)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_without_leaving_it_out_such_a_value_ends_the_export(
    graph: Graph, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing(graph, monkeypatch)
    monkeypatch.setattr(export, "_fitting", lambda values, kind: values)
    with pytest.raises((TypeError, ValueError)):
        export.export(graph, tmp_path / f"all.{kind}", kind, None)


def test_the_command_tells_what_it_left_out(
    graph: Graph, neo4j_connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", neo4j_connection.uri)
    monkeypatch.setenv("NEO4J_USER", neo4j_connection.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_connection.password)
    changing(graph, monkeypatch)
    result = CliRunner().invoke(export_app, ["profiles", "--out", str(tmp_path / "all.csv")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "1 values of n were left out: their type changed during the export" in result.stdout
