"""Files into the graph: streaming, resumable at any moment, nothing lost and nothing twice.

After each batch of rows the graph remembers the place in the file, so the next run goes on from there, whatever ended
this one. Rows after that place may have been taken already, and taking them again changes nothing: every row's
observation has an id, its own or one that follows from what it says.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import orjson

from identity_graph.domain.decision import Accepted
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import Rejection, too_many_names
from identity_graph.domain.rules import Rules
from identity_graph.services.ahead import ahead
from identity_graph.services.ingest_batches import Batch, Task, remark
from identity_graph.services.ingest_fields import BadMapping, Columns, Sample, read_mapping, recognise
from identity_graph.services.ingest_files import Place, Row, UnreadableFile, open_rows
from identity_graph.services.ingest_worker import reading
from identity_graph.services.match_records import Matching
from identity_graph.services.observe import Answer
from identity_graph.services.submit import now, write_batch
from identity_graph.store.errors import StoreError, TimedOut
from identity_graph.store.graph import Graph

T = TypeVar("T")

#: Rows from which columns are recognised.
SAMPLE = 200
#: Batches that are written together at most: throughput is flat from there on.
MOST_TOGETHER = 16
#: A database that has just started takes its first statements very slowly, so the first write is small; the next one
#: is larger after one below QUICK, smaller after one above SLOW. Seconds.
QUICK, SLOW = 1.5, 4.0
#: Seconds for which a database that does not answer is waited for: it may be starting again.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Source:
    """A file to take, ``size`` in bytes. ``key`` names how it begins and how it is read."""

    task: Task
    key: str
    size: int
    observations: bool


def prepare(path: Path, source: str | None, mapping: Path | None, rules: Rules) -> Source:
    """Look at a file's first rows and decide which column is what.

    Raises :class:`UnreadableFile` and :class:`BadMapping`.
    """
    with open_rows(path) as reader:
        rows = [row.cells for row in islice(reader.rows(), SAMPLE) if isinstance(row, Row)]
        sample = Sample(rows, reader.columns)
    observations = bool(rows) and all(isinstance(row.get("identifiers"), list) for row in rows)
    columns = Columns()
    if mapping:
        columns = read_mapping(mapping, sample, source, rules)
    elif not observations:
        columns = recognise(sample, source, rules)
    if rows and not (observations or source or columns.source):
        raise BadMapping(f"{path} holds records; say which system they are from, such as --source crm")
    at, about = now(), path.stat()
    task = Task(path, source, columns, rules, max(0, min(at, about.st_mtime_ns // 1000)), at)
    with path.open("rb") as file:
        reading_it = orjson.dumps([source, asdict(columns), rules.version])
        key = blake2b(file.read(1 << 16) + reading_it, digest_size=16).hexdigest()
    return Source(task, key, about.st_size, observations)


def totals(graph: Graph) -> tuple[int, int]:
    """How many identifiers the graph has, and in how many profiles."""
    identifiers, profiles = graph.read("ingest/totals")[0]
    return identifiers, profiles


@dataclass(slots=True)
class Report:
    """What came of one file, in rows: ``read`` = ``accepted`` + ``duplicates`` + ``rejected``.

    ``skipped`` of them were taken by an earlier run and count as duplicates. ``warnings`` are about rows that were
    taken without one of their cells. ``notices`` are sentences, and how often each applied.
    """

    file: str
    read: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    warnings: int = 0
    skipped: int = 0
    seconds: float = 0.0
    finished: bool = False
    failure: str | None = None
    notices: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Committed:
    """What the graph knows of a file: how far it was taken, and what had come of it. ``size`` is of the rejections."""

    place: Place = field(default_factory=Place)
    read: int = 0
    rejected: int = 0
    warnings: int = 0
    size: int = 0

    @classmethod
    def read_from(cls, graph: Graph, key: str) -> "Committed | None":
        found = graph.read("ingest/place", key=key)
        if not found:
            return None
        place, *counts = orjson.loads(found[0][0])
        return cls(Place(*place), *counts)

    def as_text(self) -> str:
        place = (self.place.lines, self.place.digest, self.place.bytes)
        return orjson.dumps([place, self.read, self.rejected, self.warnings, self.size]).decode()


class Rejections:
    """`FILE.rejected.jsonl`, which is as long as the graph says, whenever a run was cut off.

    Raises :class:`UnreadableFile` where it cannot be written: without it rejected rows would be lost.
    """

    def __init__(self, file: Path) -> None:
        self.path = file.with_name(file.name + ".rejected.jsonl")

    def keep(self, size: int) -> int:
        """Cut off what was never committed; the bytes that are left."""
        with self._written():
            if not self.path.exists():
                return 0
            if size == 0:
                self.path.unlink()
                return 0
            with self.path.open("r+b") as file:
                file.truncate(min(size, self.path.stat().st_size))
            return min(size, self.path.stat().st_size)

    def write(self, at: int, remarks: Iterable[dict[str, Any]]) -> int:
        """Write them from a byte on, and return the byte after them; doing it again writes the same."""
        text = b"".join(orjson.dumps(remark, option=orjson.OPT_APPEND_NEWLINE) for remark in remarks)
        if text:
            with self._written(), self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.seek(at)
                file.truncate()
                file.write(text)
        return at + len(text)

    @contextmanager
    def _written(self) -> Generator[None]:
        try:
            yield
        except OSError as e:
            raise UnreadableFile(
                f"rejected rows go to {self.path}, which cannot be written ({e.strerror}); make it writable, or put "
                "the file where there is room"
            ) from e


class Tally:
    """What a file's rows came to, and its rejections, batch after batch."""

    def __init__(self, source: Source, report: Report) -> None:
        self.source, self.report = source, report
        self.rejections = Rejections(source.task.path)
        self.committed = Committed()

    def begin(self, at: Committed) -> None:
        """Go on from a place; what came of the rows before it is part of the report."""
        report = self.report
        self.committed = replace(at, size=self.rejections.keep(at.size))
        if report.read < at.read:
            report.read = report.skipped = at.read
            report.rejected, report.warnings = at.rejected, at.warnings
            report.duplicates = at.read - at.rejected

    def add(self, batch: Batch, accepted: int, rejections: Iterable[tuple[int, Rejection]]) -> None:
        """Count a batch that was written, and write down what of it was not, with the line of each."""
        report, before = self.report, self.committed
        for sentence, times in batch.notices.items():
            report.notices[sentence] = report.notices.get(sentence, 0) + times
        remarks = [*batch.remarks, *(remark(line, r, {"id": r.observation_id}) for line, r in rejections)]
        remarks.sort(key=lambda remark: remark["line"])
        rejected = sum(remark["severity"] == "error" for remark in remarks)
        self.committed = Committed(
            batch.place,
            before.read + batch.rows,
            before.rejected + rejected,
            before.warnings + len(remarks) - rejected,
            self.rejections.write(before.size, remarks),
        )
        report.read += batch.rows
        report.accepted += accepted
        report.rejected += rejected
        report.warnings += len(remarks) - rejected
        report.duplicates = report.read - report.accepted - report.rejected


def ingest(
    graph: Graph,
    source: Source,
    report: Report,
    told: Callable[[int], None],
    stopped: Callable[[], bool],
    matching: Matching | None = None,
) -> None:
    """Take one file. After each transaction the report is brought up to date, and ``told`` gets the bytes done.

    ``stopped`` is asked likewise; a file that was stopped is not ``finished``. Where ``matching`` has an active model,
    records are matched as they are taken. Raises :class:`UnreadableFile`, and :class:`StoreError` where the database
    stays away or refuses; what was taken by then stays taken.
    """
    _Taking(graph, source, report, matching).run(told, stopped)


class _Taking:
    """One file on its way into the graph."""

    def __init__(self, graph: Graph, source: Source, report: Report, matching: Matching | None) -> None:
        self.graph, self.source, self.rules, self.matching = graph, source, source.task.rules, matching
        self.tally = Tally(source, report)
        self.together = 1

    def run(self, told: Callable[[int], None], stopped: Callable[[], bool]) -> None:
        begun = time.monotonic() - self.tally.report.seconds
        task = self.source.task
        earlier = Committed.read_from(self.graph, self.source.key)
        first = True
        with reading(replace(task, begin=earlier.place) if earlier else task, workers=1) as batches:
            for batch, observations in ahead(self._joined(batches)):
                if first:
                    self.tally.begin(earlier if earlier and batch.resumed else Committed())
                    first = False
                self._commit(batch, observations)
                self.tally.report.seconds = time.monotonic() - begun
                told(batch.place.bytes)
                if stopped():
                    return
        self.tally.report.finished = True

    def _joined(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[Observation]]]:
        """Batches put together to writes, and their observations."""
        while some := list(islice(batches, self.together)):
            first, *others = some
            for other in others:
                first.extend(other)
            yield first, first.observations()

    def _commit(self, batch: Batch, observations: list[Observation]) -> None:
        """Write the rows, then the rejections, then the place: cut off in between, the next run mends it."""
        begun = time.monotonic()
        answers = self._write(observations)
        seconds = time.monotonic() - begun
        if seconds < QUICK:
            self.together = min(MOST_TOGETHER, self.together * 2)
        elif seconds > SLOW:
            self.together = max(1, self.together // 2)
        accepted = sum(isinstance(answer, Accepted) and not answer.duplicate for answer in answers)
        found = list(zip(batch.lines, answers, strict=True))
        for line, answer in found:
            if isinstance(answer, Accepted) and answer.left_out:
                told = too_many_names(answer.observation_id, answer.left_out, self.rules)
                batch.remarks.append(remark(line, told, {"id": answer.observation_id}, "warning"))
        self.tally.add(batch, accepted, ((line, a) for line, a in found if isinstance(a, Rejection)))
        params = {"key": self.source.key, "place": self.tally.committed.as_text(), "at": now()}
        _patiently(lambda: self.graph.write(lambda tx: tx.do("ingest/advance", **params)))

    def _write(self, observations: list[Observation]) -> list[Answer]:
        if not observations:
            return []
        try:
            return _patiently(lambda: write_batch(self.graph, observations, self.rules, matching=self.matching)[0])
        except TimedOut:
            if len(observations) == 1:
                raise
        middle = len(observations) // 2
        return self._write(observations[:middle]) + self._write(observations[middle:])


def _patiently(work: Callable[[], T]) -> T:
    """Try again where it may help. An outcome that is not known is no harm: the ids make a repeat safe."""
    begun, pause = time.monotonic(), 0.1
    while True:
        try:
            return work()
        except StoreError as e:
            if not e.retryable or isinstance(e, TimedOut) or time.monotonic() - begun > PATIENCE:
                raise
        time.sleep(pause)
        pause = min(5.0, pause * 2)
