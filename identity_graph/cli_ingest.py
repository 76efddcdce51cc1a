"""`identity-graph ingest` and `identity-graph verify`: files into the graph, and the graph against its evidence."""

import json
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from identity_graph.database import database
from identity_graph.domain.rules import Rules
from identity_graph.services.active_rules import active_rules
from identity_graph.services.ingest import Report, Source, prepare, totals
from identity_graph.services.ingest import ingest as take
from identity_graph.services.ingest_fields import BadMapping
from identity_graph.services.ingest_files import UnreadableFile
from identity_graph.services.rules_file import load_rules
from identity_graph.services.submit import now
from identity_graph.settings import Settings
from identity_graph.store.errors import StoreError
from identity_graph.store.graph import Graph

INTERRUPTED = 130

DataDir = Annotated[
    Path | None, typer.Option(help="Where the embedded database keeps its data.", file_okay=False, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def ingest(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="JSON Lines, CSV or Parquet.", show_default=False)
    ],
    source: Annotated[
        str | None, typer.Option(help="The system that the rows are from, such as crm.", show_default=False)
    ] = None,
    fields: Annotated[
        Path | None, typer.Option(help="Which column is what, in YAML; else they are recognised.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take files into the graph: rows that are observations, and records with mapped columns.

    May be stopped at any moment: the same command goes on where it came to. Rows that cannot be taken go to
    FILE.rejected.jsonl with the reason.

    Exit code 0: all files were taken. 1: one could not be read, or the database failed. 130: stopped by Ctrl-C.

    Example: identity-graph ingest crm.csv --source crm
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    settings = Settings(data_dir=data_dir) if data_dir else Settings()
    wanted = load_rules(settings.rules) if settings.rules else None
    begun = time.monotonic()
    reports: list[Report] = []
    with _stopping() as stopped, database(settings, progress=not as_json) as connection:
        graph = Graph.connect(connection)
        try:
            graph.migrate(now())
            rules = active_rules(graph, wanted, now())
            sources = _prepared(files, source, fields, rules, console, reports)
            _take_all(graph, sources, console, reports, stopped)
            found = totals(graph)
        finally:
            graph.close()
    summary = _summary(reports, time.monotonic() - begun, found)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        _show(console, reports, summary)
    if stopped:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if all(report.failure is None for report in reports) else 1)


class _Stopped:
    """True once Ctrl-C or SIGTERM asked to stop; a second one stops at once, which loses nothing either."""

    def __init__(self) -> None:
        self.asked = False

    def __bool__(self) -> bool:
        return self.asked

    def ask(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextmanager
def _stopping() -> Generator[_Stopped]:
    stopped = _Stopped()
    before = {number: signal.signal(number, stopped.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepared(
    files: list[Path], source: str | None, fields: Path | None, rules: Rules, console: Console, reports: list[Report]
) -> list[Source]:
    """The files that can be read; what was recognised in them is printed. The others get a report of why not."""
    sources: list[Source] = []
    for file in files:
        try:
            found = prepare(file, source, fields, rules)
        except (UnreadableFile, BadMapping) as e:
            reports.append(Report(str(file), failure=str(e)))
            console.print(f"[red]{escape(str(e))}[/red]")
            continue
        sources.append(found)
        _describe(found, console)
    return sources


def _describe(source: Source, console: Console) -> None:
    if source.observations:
        console.print(f"[bold]{escape(source.task.path.name)}[/bold]: observations")
        return
    columns = source.task.columns
    table = Table("meaning", "column", box=None, pad_edge=False, title=source.task.path.name, title_justify="left")
    for meaning, column in columns.described():
        table.add_row(meaning, column)
    console.print(table)
    if not columns.id:
        console.print("No column names the record: each row with other content is a record of its own.", style="dim")
    if not columns.observed_at:
        console.print("No column tells when a row was true: all are as old as the file.", style="dim")
    for name in columns.missing:
        console.print(f"[yellow]The first rows do not have the column {escape(name)}.[/yellow]")


def _take_all(graph: Graph, sources: list[Source], console: Console, reports: list[Report], stopped: _Stopped) -> None:
    with _bar(console, sum(source.size for source in sources)) as show:
        before = 0
        for source in sources:
            report = Report(str(source.task.path))
            reports.append(report)
            try:
                take(graph, source, report, partial(_tell, show, reports, before, source.size), stopped.__bool__)
            except UnreadableFile as e:
                report.failure = str(e)
            except StoreError as e:
                report.failure = f"{e}; give the same command again to go on"
                return
            if stopped:
                return
            before += source.size


def _tell(show: Callable[[int, int], None], reports: list[Report], before: int, size: int, done: int) -> None:
    """Bytes done of one file, as of all."""
    show(before + min(done, size), sum(report.read - report.skipped for report in reports))


@contextmanager
def _bar(console: Console, size: int) -> Generator[Callable[[int, int], None]]:
    """A bar over so many bytes; what it yields is told the bytes done and the rows read."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=max(1, size), rows=0, rate=0.0)

        def show(done: int, rows: int) -> None:
            rate = rows / max(1e-3, time.monotonic() - begun)
            progress.update(task, completed=done, rows=rows, rate=rate)

        yield show


def _summary(reports: list[Report], seconds: float, totals: tuple[int, int]) -> dict[str, Any]:
    counts = ("read", "accepted", "duplicates", "rejected", "warnings", "skipped")
    summed = {name: sum(getattr(report, name) for report in reports) for name in counts}
    identifiers, profiles = totals
    return {
        **summed,
        "seconds": round(seconds, 3),
        "rate": round((summed["read"] - summed["skipped"]) / max(seconds, 1e-3), 1),
        "identifiers": identifiers,
        "profiles": profiles,
        "files": [asdict(report) for report in reports],
    }


def _show(console: Console, reports: list[Report], summary: dict[str, Any]) -> None:
    for report in reports:
        name = escape(Path(report.file).name)
        if report.failure:
            console.print(f"[red]{name}: {escape(report.failure)}[/red]")
        for sentence, times in report.notices.items():
            console.print(f"[yellow]{name}: {escape(sentence)}{f' ({times:,} times)' if times > 1 else ''}[/yellow]")
        if report.rejected or report.warnings:
            console.print(
                f"{name}: {report.rejected:,} rows rejected, {report.warnings:,} taken without a cell; "
                f"the reasons are in {escape(report.file)}.rejected.jsonl"
            )
        if not report.finished and not report.failure:
            console.print(f"[yellow]{name}: stopped after {report.read:,} rows; the same command goes on.[/yellow]")
    console.print(
        "{read:,} rows in {seconds:,.1f} s ({rate:,.0f}/s): {accepted:,} taken, {duplicates:,} known before, "
        "{rejected:,} rejected. The graph has {identifiers:,} identifiers in {profiles:,} profiles.".format(**summary)
    )
