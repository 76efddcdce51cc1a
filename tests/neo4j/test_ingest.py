"""Files into a real database: each row once, wherever a run ends."""

import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import neo4j
import pytest
from stored import problems, read

from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import Limits, Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import ingest as module
from identity_graph.services.ingest import Report, ingest, prepare
from identity_graph.services.ingest_batches import batches
from identity_graph.store.errors import TimedOut, Unavailable
from identity_graph.store.graph import Graph

RULES = Rules()
JUNK = {"noreply@x.example"}


def row(n: int) -> dict[str, Any]:
    """An observation that the next ones link up with, now and then with junk."""
    keys = [("user_id", f"u{n // 3}"), ("cookie_id", f"c{n}")]
    if n % 40 == 0:
        keys.append(("email", "noreply@x.example"))
    at = f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z"
    identifiers = [{"namespace": namespace, "value": value} for namespace, value in keys]
    return {"id": f"o{n}", "source": "web", "observedAt": at, "identifiers": identifiers}


def write(path: Path, rows: Sequence[object]) -> Path:
    """Each row as a line; a text stands for itself."""
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def take(graph: Graph, path: Path, stopped: Callable[[], bool] = lambda: False, **how: Any) -> Report:
    source = prepare(path, how.get("source"), how.get("mapping"), RULES)
    report = Report(str(path))
    ingest(graph, source, report, lambda done: None, stopped)
    return report


def said_in(*paths: Path, source: str | None = None) -> list[Observation]:
    """The observations of files, each id once."""
    found: dict[str, Observation] = {}
    for path in paths:
        for batch in batches(prepare(path, source, None, RULES).task):
            for o in batch.observations():
                found.setdefault(o.id, o)
    return list(found.values())


def rejected(path: Path) -> list[dict[str, Any]]:
    file = path.with_name(path.name + ".rejected.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def counts(report: Report) -> tuple[int, int, int, int]:
    assert report.read == report.accepted + report.duplicates + report.rejected
    return report.read, report.accepted, report.duplicates, report.rejected


def wrong(driver: neo4j.Driver, *paths: Path, source: str | None = None) -> list[str]:
    return problems(read(driver), said_in(*paths, source=source), RULES, JUNK, by_definition=False)


def test_every_row_is_taken_once(graph: Graph, driver: neo4j.Driver, tmp_path: Path) -> None:
    web = write(tmp_path / "web.jsonl", [row(n) for n in range(60)] + [row(7), {**row(8), "source": "app"}, "{", "[]"])
    crm = tmp_path / "crm.csv"
    crm.write_text("id,E-Mail,user_id\n1,a@x.example,u1\n2,not an address,u2\n3,a@x.example\n")
    report = take(graph, web)
    assert counts(report) == (64, 60, 1, 3)
    assert report.finished
    assert [(r["line"], r["code"]) for r in rejected(web)] == [
        (62, "ID_REUSED"),
        (63, "UNREADABLE_ROW"),
        (64, "UNREADABLE_ROW"),
    ]
    assert counts(report := take(graph, crm, source="crm")) == (3, 2, 0, 1)
    assert report.warnings == 1
    assert [(r["line"], r["severity"], r["field"]) for r in rejected(crm)] == [
        (3, "warning", "identifiers.0.value"),
        (4, "error", ""),
    ]
    assert not wrong(driver, web, crm, source="crm")
    before = read(driver)
    for path, rows, bad in ((web, 64, 3), (crm, 3, 1)):
        again = take(graph, path, source="crm" if path == crm else None)
        assert counts(again) == (rows, 0, rows - bad, bad)
        assert again.skipped == rows
    assert read(driver) == before


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("identity_graph.services.ingest_batches.BATCH", 10)
    monkeypatch.setattr(module, "MOST_TOGETHER", 1)


def bad_now_and_then(path: Path, rows: int) -> Path:
    return write(path, ["{" if n % 7 == 3 else row(n) for n in range(rows)])


@pytest.mark.usefixtures("small_batches")
def test_a_run_goes_on_where_the_last_one_was_stopped(graph: Graph, driver: neo4j.Driver, tmp_path: Path) -> None:
    path = bad_now_and_then(tmp_path / "web.jsonl", 65)
    reports: list[Report] = []
    while not reports or not reports[-1].finished:
        reports.append(take(graph, path, stopped=lambda: len(reports) < 4))
    assert [report.skipped for report in reports] == [0, 10, 20, 30, 40]
    assert sum(report.accepted for report in reports) == len(said_in(path))
    assert reports[-1].read == 65
    assert [r["line"] for r in rejected(path)] == list(range(4, 66, 7))
    assert not wrong(driver, path)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("name", ["write_batch", "Tally.add", "_patiently"])
def test_a_run_that_died_anywhere_loses_nothing(
    name: str, graph: Graph, driver: neo4j.Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between writing rows, writing rejections and remembering the place: the third time each, before and after."""
    path = bad_now_and_then(tmp_path / "web.jsonl", 65)
    owner, _, method = name.rpartition(".")
    holder = getattr(module, owner) if owner else module
    true = getattr(holder, method)
    for after in (False, True):
        calls = 0

        def die(*given: Any, after: bool = after, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3 and not after:
                raise KeyboardInterrupt
            result = true(*given, **more)
            if calls == 3:
                raise KeyboardInterrupt
            return result

        with monkeypatch.context() as patch:
            patch.setattr(holder, method, die)
            with pytest.raises(KeyboardInterrupt):
                take(graph, path)
    assert take(graph, path).finished
    assert [r["line"] for r in rejected(path)] == list(range(4, 66, 7))
    assert not wrong(driver, path)


def test_a_file_that_grew_is_taken_from_where_it_ended(graph: Graph, driver: neo4j.Driver, tmp_path: Path) -> None:
    path = tmp_path / "web.jsonl"
    fat = [{**row(n), "traits": {"text": "x" * 1000}} for n in range(100)]
    assert counts(take(graph, write(path, fat[:80]))) == (80, 80, 0, 0)
    report = take(graph, write(path, fat))
    assert counts(report) == (100, 20, 80, 0)
    assert report.skipped == 80
    changed = write(path, [*fat[:70], row(500), *fat[71:]])
    report = take(graph, changed)
    assert counts(report) == (100, 1, 99, 0)
    assert report.skipped == 0, "what was read before is not what is there now"


def test_rejections_of_another_file_of_that_name_are_replaced(graph: Graph, tmp_path: Path) -> None:
    path = write(tmp_path / "web.jsonl", [row(1), "{", "{"])
    take(graph, path)
    assert len(rejected(path)) == 2
    take(graph, write(path, [row(2)]))
    assert rejected(path) == []
    assert not path.with_name("web.jsonl.rejected.jsonl").exists()


def test_names_of_traits_beyond_the_limit_are_told_with_their_row(graph: Graph, tmp_path: Path) -> None:
    few = replace(RULES, limits=Limits(trait_names=2))
    traits = [{"plan": "pro"}, {"city": "Delft"}, {"plan": "free", "a": 1, "b": 2}, {"plan": "pro"}]
    path = write(tmp_path / "stream.jsonl", [row(3 * n) | {"traits": said} for n, said in enumerate(traits)])
    source, report = prepare(path, None, None, few), Report(str(path))
    ingest(graph, source, report, lambda done: None, lambda: False)
    assert (report.accepted, report.rejected, report.warnings) == (4, 0, 1)
    (told,) = rejected(path)
    assert (told["line"], told["severity"], told["code"]) == (3, "warning", "TOO_MANY_TRAIT_NAMES")
    assert (told["field"], "2 of this observation, a for one" in told["reason"]) == ("traits.a", True)


def test_an_unsettled_database_is_waited_for(
    graph: Graph, driver: neo4j.Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be starting again, and the first statements after that are slow."""
    path = write(tmp_path / "web.jsonl", [row(n) for n in range(30)])
    true, errors = module.write_batch, iter([Unavailable("gone"), TimedOut("slow"), TimedOut("slow"), None])
    sizes: list[int] = []

    def unsettled(graph: Graph, batch: Sequence[Observation], rules: Rules, **more: Any) -> Any:
        sizes.append(len(batch))
        if error := next(errors, None):
            raise error
        return true(graph, batch, rules, **more)

    monkeypatch.setattr(module, "write_batch", unsettled)
    assert counts(take(graph, path)) == (30, 30, 0, 0)
    assert sizes == [30, 30, 15, 7, 8, 15]
    assert not wrong(driver, path)


# --- The command, as a process of its own


def start(connection: Connection, *arguments: str | Path, errors: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "NEO4J_URI": connection.uri,
        "NEO4J_USER": connection.user,
        "NEO4J_PASSWORD": connection.password,
    }
    command = [sys.executable, "-c", "from identity_graph.cli import main; main()", "ingest", "--json"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


def large(path: Path) -> Path:
    """Above the size from which on files are parsed by a process of their own."""
    rows = [{**row(n), "recordId": str(n), "traits": {"text": "x" * 3000}} for n in range(1000)]
    rows[500]["identifiers"] = "none"
    return write(path, rows)


def drawn_on(terminal: int) -> str:
    """All that is drawn until nobody has the terminal open any more."""
    drawn = bytearray()
    # Linux says that all others have closed it by an error.
    with suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            drawn += part
    return drawn.decode()


def test_a_terminal_shows_how_far_it_is_how_fast_and_how_long_it_will_take(
    graph: Graph, neo4j_connection: Connection, tmp_path: Path
) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    command = start(neo4j_connection, write(tmp_path / "a.jsonl", [row(n) for n in range(8000)]), errors=theirs)
    os.close(theirs)
    drawn = drawn_on(ours)
    os.close(ours)
    out, _ = command.communicate()
    assert command.returncode == 0, out
    told = re.findall(r"(\d+)% ([\d,]+) rows, ([\d,]+)/s (\d+:\d\d:\d\d)", re.sub(r"\x1b\[[\d;?]*\w", "", drawn))
    between = [one for one in told if 0 < int(one[0]) < 100]
    assert between, drawn[-2000:]
    assert all(int(rate.replace(",", "")) > 0 for _, _, rate, _ in between)
    rows = [int(count.replace(",", "")) for _, count, _, _ in told]
    assert rows == sorted(rows)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_command_may_be_ended_at_any_moment(
    how: signal.Signals, graph: Graph, driver: neo4j.Driver, neo4j_connection: Connection, tmp_path: Path
) -> None:
    path = large(tmp_path / "web.jsonl")

    def taken() -> int:
        return driver.execute_query("MATCH (o:Observation) RETURN count(o) AS n").records[0]["n"]

    with start(neo4j_connection, path) as first:
        until(lambda: taken() > 0)
        first.send_signal(how)
        out, err = first.communicate()
    assert first.returncode == (-how if how == signal.SIGKILL else 130), err
    before = taken()
    if how != signal.SIGKILL:
        found = json.loads(out)
        assert found["read"] - found["rejected"] == before < 999
        assert "Traceback" not in err
    with start(neo4j_connection, path) as second:
        out, err = second.communicate()
    assert second.returncode == 0, err
    summary = json.loads(out)
    assert (summary["read"], summary["rejected"], summary["identifiers"]) == (1000, 1, len(read(driver).identifiers))
    assert summary["accepted"] == 999 - before
    assert [r["line"] for r in rejected(path)] == [501]
    assert not wrong(driver, path)
    assert not driver.execute_query("MATCH (i:Ingest) WITH count(i) AS n WHERE n <> 1 RETURN n").records


def test_one_bad_file_does_not_stop_the_others(graph: Graph, neo4j_connection: Connection, tmp_path: Path) -> None:
    good = write(tmp_path / "web.jsonl", [row(n) for n in range(5)])
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(b"PAR1 and no more")
    empty = tmp_path / "empty.csv"
    empty.touch()
    with start(neo4j_connection, cut, tmp_path / "none.csv", tmp_path, empty, good, "--source", "x") as command:
        out, err = command.communicate()
    assert command.returncode == 1
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["accepted"] == 5
    failures = [file["failure"] and file["failure"].partition(": ")[0] for file in summary["files"]]
    assert failures == [
        f"{cut} is cut off or damaged",
        f"{tmp_path}/none.csv does not exist",
        f"{tmp_path} is a folder; name the files in it",
        None,
        None,
    ]
    assert summary["files"][3]["notices"] == {"the file is empty": 1}
