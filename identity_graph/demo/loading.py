"""What the demonstration loads: the shipped sources without the event that is kept for later, or one's own files."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from identity_graph.app import CannotServe
from identity_graph.demo import DATA, SOURCES
from identity_graph.demo.service import Json
from identity_graph.domain.evidence import Key, Observation, gather
from identity_graph.domain.partition import components
from identity_graph.domain.rules import Rules
from identity_graph.services.ingest import Committed, Report, Source, ingest, prepare, totals
from identity_graph.services.ingest_batches import batches
from identity_graph.services.ingest_fields import BadMapping
from identity_graph.services.ingest_files import UnreadableFile
from identity_graph.store.graph import Graph

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class File:
    """A file to load, by the name of its source; ``fields`` says which column is what, None: by their names."""

    source: str
    path: Path
    fields: Path | None


@dataclass(slots=True)
class Loaded:
    """What came of a file; without a ``source`` it was left out, and the report says why."""

    file: File
    report: Report
    source: Source | None = None


@dataclass(slots=True)
class Load:
    """What came of all files, and how long it took in seconds."""

    files: list[Loaded] = field(default_factory=list[Loaded])
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows that this run took, without those that an earlier one had taken."""
        return sum(loaded.report.read - loaded.report.skipped for loaded in self.files)


def shipped(into: Path, withheld: str) -> list[File]:
    """The shipped sources as files of their own, without the observation ``withheld``.

    They are copied, as rejected rows are written beside a file and the program's own folder may be read-only.
    """
    into.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        lines = (DATA / source.file).read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if f'"id":"{withheld}"'.encode() not in line]
        (into / source.file).write_bytes(b"".join(kept))
    return [File(source.name, into / source.file, source.fields) for source in SOURCES]


def withheld(id: str) -> Json:
    """The observation of the shipped sources that has this id."""
    lines = chain.from_iterable(
        (DATA / source.file).read_bytes().splitlines() for source in SOURCES if not source.fields
    )
    return next(row for row in map(orjson.loads, lines) if row["id"] == id)


def own(data: Path) -> list[File]:
    """Every file of a folder that can be loaded, each with the `NAME.yaml` beside it if there is one."""
    return [
        File(path.stem, path, mapping if (mapping := path.with_suffix(".yaml")).is_file() else None)
        for path in sorted(data.resolve().iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]


def linked(files: Sequence[File], into: Path) -> list[File]:
    """The same files by links, as rejected rows are written beside a file and the folder is not ours."""
    into.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = into / file.path.name
        link.unlink(missing_ok=True)
        link.symlink_to(file.path)
    return [replace(file, path=into / file.path.name) for file in files]


def load(graph: Graph, files: Sequence[File], rules: Rules) -> Load:
    """Load files into a graph that is empty or holds them already.

    Raises :class:`CannotServe` where no file can be read, and where the graph holds something else, which is not to be
    mixed with them.
    """
    done = Load([_prepared(file, rules) for file in files])
    sources = [loaded.source for loaded in done.files if loaded.source]
    if not sources:
        raise CannotServe("; ".join(str(loaded.report.failure) for loaded in done.files))
    identifiers, _ = totals(graph)
    if identifiers and not any(Committed.read_from(graph, source.key) for source in sources):
        raise CannotServe("the database holds other data, which must not be mixed with this; name another --data-dir")
    columns = (
        TextColumn("Loading {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
    )
    begun = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for loaded in done.files:
            if loaded.source:
                _load(graph, loaded.source, loaded.report, progress)
    done.seconds = time.monotonic() - begun
    return done


def _prepared(file: File, rules: Rules) -> Loaded:
    report = Report(str(file.path))
    try:
        source = prepare(file.path, file.source, file.fields, rules)
    except (UnreadableFile, BadMapping) as e:
        report.failure = str(e).replace(str(file.path), file.path.name)
        return Loaded(file, report)
    columns = source.task.columns
    if source.observations or columns.fields or columns.identifiers:
        return Loaded(file, report, source)
    report.failure = (
        f"{file.path.name} is left out: none of its columns is known by its name; "
        f"a mapping {file.path.stem}.yaml beside it can tell what they are"
    )
    return Loaded(file, report)


def _load(graph: Graph, source: Source, report: Report, progress: Progress) -> None:
    task = progress.add_task(source.task.path.name, total=source.size, rows=0)
    try:
        ingest(
            graph, source, report, lambda done: progress.update(task, completed=done, rows=report.read), lambda: False
        )
    except UnreadableFile as e:
        report.failure = str(e)


def observations(load: Load) -> Iterator[Observation]:
    """What the files say, read anew."""
    for loaded in load.files:
        if loaded.source:
            for batch in batches(loaded.source.task):
                yield from batch.observations()


def glued(said: Iterable[Observation], key: Key, rules: Rules) -> set[Key]:
    """Whom an identifier would be one person with if every link were believed, whatever the rules say of shared
    identifiers and unique namespaces: the connected component."""
    evidence = gather(said)
    junk = {k for k in evidence.identifiers if rules.is_blocked_key(k)}
    links = [link for link in evidence.links if link.a not in junk and link.b not in junk]
    return next(set(keys) for keys, _ in components(evidence.identifiers - junk, links) if key in keys)
