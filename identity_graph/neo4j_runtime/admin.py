"""Backing up, restoring, checking and bulk-loading the embedded database with Neo4j's own offline tools.

Neo4j Community does these only while no server runs: each has the data directory to itself, and starts a server
that was kept again when it is done.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from identity_graph.neo4j_runtime.class_archive import ClassArchive
from identity_graph.neo4j_runtime.failure import RuntimeFailure, from_os_error, from_output
from identity_graph.neo4j_runtime.machine import find_java, java_command, java_environment, memory_for, tied
from identity_graph.neo4j_runtime.provision import provision, resolve_version
from identity_graph.neo4j_runtime.server import (
    DATABASE,
    UNFINISHED,
    Connection,
    data_version,
    delete_database,
    has_database,
    stopped,
)

ARRAY_DELIMITER = "\x1f"
MAX_HEAP_MB = 1024


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a bulk import wrote, and how long Neo4j's tool took in seconds."""

    nodes: int
    relationships: int
    properties: int
    seconds: float


def dump(data_dir: Path, file: Path, *, progress: bool = True) -> None:
    """Write the whole graph into one file, which replaces an existing one only when it is complete.

    The password is not part of it. Raises `RuntimeFailure`, with the code `no_data` before the first start.
    """
    data_dir, file = data_dir.resolve(), file.resolve()
    with stopped(data_dir, progress=progress):
        _require_data(data_dir)
        try:
            with tempfile.TemporaryDirectory(prefix=".dump-", dir=file.parent) as folder:
                _run(data_dir, "dump", DATABASE, f"--to-path={folder}", progress=progress)
                os.replace(Path(folder) / f"{DATABASE}.dump", file)
        except OSError as error:
            raise from_os_error(error, file.parent, "another file name") from error


def load(data_dir: Path, file: Path, *, progress: bool = True) -> None:
    """Replace the whole graph by what `dump` wrote into a file. The password of the data directory stays."""
    data_dir, file = data_dir.resolve(), file.resolve()
    try:
        archive = file.open("rb")
    except OSError as error:
        raise RuntimeFailure(
            "no_file", f"{file} cannot be read ({error.strerror}).", "Name a file that `dump` wrote."
        ) from error
    with archive, stopped(data_dir, progress=progress):
        try:
            _run(data_dir, "load", DATABASE, "--info", "--from-stdin", standard_input=archive, progress=progress)
        except RuntimeFailure as failure:
            if failure.code != "tool_failed":
                raise
            raise RuntimeFailure(
                "not_a_dump", f"{file} is not a whole dump of Neo4j.", "Name a file that `dump` wrote."
            ) from failure
        archive.seek(0)
        overwrite = "--overwrite-destination=true"
        (data_dir / UNFINISHED).write_text("load", "utf-8")
        _run(data_dir, "load", DATABASE, overwrite, "--from-stdin", standard_input=archive, progress=progress)
        (data_dir / UNFINISHED).unlink()


def check(data_dir: Path, *, progress: bool = True) -> None:
    """Check that the files of the database are consistent. Raises `RuntimeFailure` `inconsistent` if not."""
    data_dir = data_dir.resolve()
    with stopped(data_dir, progress=progress):
        _require_data(data_dir)
        reports = data_dir / "neo4j" / "logs"
        try:
            _run(data_dir, "check", DATABASE, f"--report-path={reports}", progress=progress)
        except RuntimeFailure as failure:
            if failure.code != "tool_failed":
                raise
            raise RuntimeFailure(
                "inconsistent",
                "The files of the database contradict each other.",
                f"Load a dump, or rebuild from the sources. The report lies in {reports}.",
            ) from failure


def bulk_import(
    data_dir: Path,
    nodes: Sequence[tuple[str, Sequence[Path]]],
    relationships: Sequence[tuple[str, Sequence[Path]]],
    *,
    version: str | None = None,
    id_type: Literal["string", "integer"] = "string",
    multiline: bool = False,
    make_sure: Callable[[Connection], None] | None = None,
    progress: bool = True,
) -> ImportReport:
    """Fill an empty graph from CSV files with Neo4j's own importer; what the graph held before is lost.

    Therefore `make_sure` is called before, if there is a database, when nobody else can change it any more: it is to
    raise an exception of its own if the graph is not empty, and nothing happens.

    `nodes` are pairs of labels (`A` or `A:B`) and files, `relationships` of a type and files. The first line of
    the first file of each is the header as Neo4j's import defines it; an empty field is no value, `""` the empty
    string. Array values are separated by U+001F. `multiline` allows line ends within quoted fields, which is
    slower. Constraints and indexes are to be created afterwards. Raises `RuntimeFailure`, after which the graph
    is empty.
    """
    data_dir = data_dir.resolve()
    options = [
        "--overwrite-destination=true",
        f"--array-delimiter={ARRAY_DELIMITER}",
        f"--id-type={id_type}",
        f"--multiline-fields={str(multiline).lower()}",
        f"--report-file={data_dir / 'neo4j' / 'logs' / 'import.report'}",
        *(f"--nodes={labels}={','.join(map(str, files))}" for labels, files in nodes),
        *(f"--relationships={kind}={','.join(map(str, files))}" for kind, files in relationships),
    ]
    begun = time.monotonic()
    with stopped(data_dir, first=make_sure, progress=progress):
        (data_dir / UNFINISHED).write_text("import", "utf-8")
        try:
            output = _run(data_dir, "import", "full", DATABASE, *options, version=version, progress=progress)
        except BaseException:
            delete_database(data_dir)
            raise
        finally:
            (data_dir / UNFINISHED).unlink()
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (nodes|relationships|properties)\b", output)}
    return ImportReport(counts["nodes"], counts["relationships"], counts["properties"], time.monotonic() - begun)


def _require_data(data_dir: Path) -> None:
    if not has_database(data_dir):
        raise RuntimeFailure(
            "no_data", f"There is no whole database in {data_dir}.", "Start it once, or name its data directory."
        )


def _run(
    data_dir: Path,
    *arguments: str,
    version: str | None = None,
    standard_input: IO[bytes] | None = None,
    progress: bool,
) -> str:
    """Run `neo4j-admin database` and return what it wrote. Raises `RuntimeFailure`, `tool_failed` at worst."""
    home = data_dir / "neo4j"
    for folder in ("conf", "logs", "tmp"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    found = provision(resolve_version(version or data_version(data_dir)), progress=progress)
    heap, _ = memory_for(None, None)
    java = find_java(found.version)
    archives = ClassArchive.of(found, java).options()
    # The tool's own default takes nine tenths of the free memory for its caches.
    off_heap = ["--max-off-heap-memory=50%"] if arguments[0] in ("import", "check") else []
    ran = subprocess.run(
        [
            *tied(),
            str(os.getpid()),
            *java_command(java, found, home, min(heap, MAX_HEAP_MB), *archives),
            "org.neo4j.cli.AdminTool",
            "database",
            *arguments,
            *off_heap,
        ],
        cwd=home,
        env=java_environment(home),
        stdin=standard_input or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C in a terminal is for the command alone, which decides what becomes of the tool.
        start_new_session=True,
    )
    log = home / "logs" / f"{arguments[0]}.log"
    log.write_text(ran.stdout, "utf-8")
    if ran.returncode != 0:
        # What it wrote may hold identifiers, so it stays in the data directory.
        otherwise = RuntimeFailure("tool_failed", f"Neo4j's {arguments[0]} failed.", f"See {log}.")
        raise from_output(ran.stdout, otherwise)
    return ran.stdout
