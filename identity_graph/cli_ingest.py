"""`identity-graph ingest` and `identity-graph verify`: files into the graph, and the graph against its evidence."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from identity_graph import neo4j_runtime
from identity_graph.cli_options import AsJson, DataDir, collect_rarely, settings_of
from identity_graph.database import opened_graph, patient
from identity_graph.domain.intake import MAX_SOURCE
from identity_graph.domain.rules import Rules
from identity_graph.neo4j_runtime import Connection, RuntimeFailure
from identity_graph.neo4j_runtime.admin import DATABASE
from identity_graph.services.active_rules import active_rules
from identity_graph.services.ingest import Report, Source, prepare, totals
from identity_graph.services.ingest import ingest as take
from identity_graph.services.ingest_fields import BadMapping
from identity_graph.services.ingest_files import UnreadableFile
from identity_graph.services.match_records import Matching
from identity_graph.services.rules_file import load_rules
from identity_graph.services.submit import now
from identity_graph.settings import Settings
from identity_graph.store.errors import StoreError
from identity_graph.store.graph import Graph

INTERRUPTED = 130
#: Bytes from which on Neo4j's own import is faster for an empty graph, though it starts two processes more.
WORTH_IMPORTING = 10_000_000


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
    if source is not None and not (source.strip() and source.isprintable() and len(source) <= MAX_SOURCE):
        raise typer.BadParameter(f"a source's name has 1 to {MAX_SOURCE} characters", param_hint="--source")
    settings = settings_of(data_dir=data_dir)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    begun = time.monotonic()
    collect_rarely()
    with _stopping() as stopped:
        run = _Run(settings, files, source, fields, console, stopped)
        found = run.take()
    summary = _summary(run.reports, time.monotonic() - begun, found)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        _show(console, run.reports, summary)
    if stopped:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(0 if all(report.failure is None for report in run.reports) else 1)


def verify(
    data_dir: DataDir = None,
    show_keys: Annotated[
        bool, typer.Option("--show-keys", help="Name identifiers in full, which are personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute all profiles from the evidence, what is derived of them, and check every invariant of the graph.

    Golden records, tallies of events and members of segments are named by profile and name, never with their values.
    The graph should be at rest meanwhile. Exit code 0: all holds. 1: something does not, or it was written to.

    Example: identity-graph verify --json
    """
    # Imported here, as it takes a second to load.
    from identity_graph.services.verify import verify as check

    settings = settings_of(data_dir=data_dir)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    collect_rarely()
    begun = time.monotonic()
    with opened_graph(settings, "verify", progress=not as_json) as graph:
        rules = active_rules(graph, None, now())
        with console.status("Verifying") as status:
            found = check(graph, rules, show_keys=show_keys, told=status.update)
    seconds = round(time.monotonic() - begun, 3)
    if as_json:
        findings = {name: asdict(finding) for name, finding in found.findings.items()}
        summary = {"holds": found.holds, "changed": found.changed, "seconds": seconds}
        typer.echo(json.dumps({**summary, "counts": found.counts, "findings": findings}, ensure_ascii=False, indent=2))
    else:
        for name, finding in found.findings.items():
            console.print(f"[red]{finding.count:,} × {escape(name)}[/red]")
            for example in finding.examples:
                console.print(f"  {escape(example)}", style="dim")
        if found.changed:
            console.print("[yellow]The graph was written to meanwhile; verify again when it is at rest.[/yellow]")
        console.print(", ".join(f"{many:,} {what.replace('_', ' ')}" for what, many in found.counts.items()))
        console.print(f"{'All holds' if found.holds else 'Not all holds'} ({seconds:,.1f} s).")
    raise typer.Exit(0 if found.holds else 1)


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


@contextmanager
def _scratch(data_dir: Path) -> Generator[Path]:
    """A folder for the files of an import, on the disk of the data; what killed imports left there is deleted."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in data_dir.glob("import-*"):
        if not psutil.pid_exists(int(left.name.removeprefix("import-"))):
            shutil.rmtree(left)
    folder = data_dir / f"import-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class _Run:
    """One call of the command: files in, reports out."""

    def __init__(
        self,
        settings: Settings,
        files: list[Path],
        source: str | None,
        fields: Path | None,
        console: Console,
        stopped: _Stopped,
    ) -> None:
        self.settings, self.files, self.source, self.fields = settings, files, source, fields
        self.console, self.stopped = console, stopped
        self.wanted = load_rules(settings.rules) if settings.rules else None
        self.sources: list[tuple[Source, Report]] | None = None
        self.reports: list[Report] = []

    def take(self) -> tuple[int, int]:
        """Take the files; how many identifiers the graph then has, and in how many profiles."""
        rules = self._rules_of_empty_graph()
        if rules:
            self._load_first(rules)
        if self.stopped:
            return 0, 0
        with self._opened() as (graph, rules):
            matching = Matching(graph, rules, self.settings.models, now)
            self._stream(graph, self._prepared(rules), matching)
            while matching.catch_up():
                pass
            return totals(graph)

    @contextmanager
    def _opened(self) -> Generator[tuple[Graph, Rules]]:
        with opened_graph(self.settings, "ingest") as graph:
            yield graph, active_rules(graph, self.wanted, now())

    def _prepared(self, rules: Rules) -> list[tuple[Source, Report]]:
        """The files that can be read, once. What was recognised is printed; the others get a report of why not."""
        if self.sources is None:
            self.sources = []
            for file in self.files:
                report = Report(str(file))
                self.reports.append(report)
                try:
                    found = prepare(file, self.source, self.fields, rules)
                except (UnreadableFile, BadMapping) as e:
                    report.failure = str(e)
                    continue
                self.sources.append((found, report))
                _describe(found, self.console)
        return self.sources

    def _rules_of_empty_graph(self) -> Rules | None:
        """The rules to load by where the embedded graph is empty, nobody uses it, and the files are worth it."""
        size = sum(file.stat().st_size for file in self.files if file.is_file())
        folder = self.settings.data_dir
        if self.settings.neo4j_uri or size < WORTH_IMPORTING or neo4j_runtime.status(folder).in_use:
            return None
        if not (folder / "neo4j" / "data" / "databases" / DATABASE).exists():
            return self.wanted or Rules()
        with self._opened() as (graph, rules):
            return rules if graph.read("database/is_empty")[0][0] else None

    def _load_first(self, rules: Rules) -> None:
        """Gather what memory holds and import it; the rest is left to be streamed."""
        # Imported here, as it takes a second to load.
        from identity_graph.services.ingest_first import gather

        sources = self._prepared(rules)
        with _bar(self.console, sources) as show:
            first = gather(sources, rules, lambda done: show(done, self.reports), self.stopped.__bool__)
        if self.stopped:
            for _, report in sources:
                report.read = report.accepted = report.duplicates = report.rejected = report.warnings = 0
        if self.stopped or not first.places:
            return
        folder = self.settings.data_dir
        with _scratch(folder) as scratch, self.console.status("Importing"):
            try:
                nodes, relationships = first.write(scratch)
            except OSError as e:
                raise neo4j_runtime.from_os_error(e, folder, "IDENTITY_GRAPH_DATA_DIR") from e
            del first
            neo4j_runtime.bulk_import(
                folder, nodes, relationships, id_type="integer", make_sure=_still_empty, progress=False
            )

    def _stream(self, graph: Graph, sources: list[tuple[Source, Report]], matching: Matching) -> None:
        with _bar(self.console, sources) as show:
            before = 0
            for source, report in sources:

                def told(done: int, before: int = before, size: int = source.size) -> None:
                    show(before + min(done, size), self.reports)

                before += source.size
                if report.finished or report.failure:
                    continue
                try:
                    take(graph, source, report, told, self.stopped.__bool__, matching)
                except UnreadableFile as e:
                    report.failure = str(e)
                except StoreError as e:
                    report.failure = f"{e}; give the same command again to go on"
                    return
                if self.stopped:
                    return


def _still_empty(connection: Connection) -> None:
    with closing(patient(connection)) as graph:
        if not graph.read("database/is_empty")[0][0]:
            raise RuntimeFailure(
                "filled",
                "Another program has written to the graph meanwhile.",
                "Give the same command again to add to it.",
            )


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


@contextmanager
def _bar(console: Console, sources: list[tuple[Source, Report]]) -> Generator[Callable[[int, list[Report]], None]]:
    """A bar over the bytes of files; what it yields is told the bytes done and the reports so far."""
    size = sum(source.size for source, _ in sources)
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=max(1, size), rows=0, rate=0.0)

        def show(done: int, reports: list[Report]) -> None:
            rows = sum(report.read - report.skipped for report in reports)
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
