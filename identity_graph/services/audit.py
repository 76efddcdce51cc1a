"""Who read and who changed: a file that only grows, in which each line's hash covers the line before it.

Every process writes a file of its own, so nobody waits for anybody. A line that is changed, taken out or put in breaks
the chain. Lines that are cut off at the end would not: so every few seconds, and at the end, the database is told how
long the file is and which hash it ends with. The lines name profiles and no identifiers: they are no place for personal
data.
"""

import logging
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from identity_graph.services.observe import Clock, new_id
from identity_graph.services.periodic import Periodic
from identity_graph.store.errors import StoreError
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph

logger = logging.getLogger("identity_graph.audit")

#: Seconds after which the database is told of new lines.
ANCHORED = 5.0
SUFFIX = ".jsonl"

#: The profiles that a request shows, while it runs.
shown: ContextVar[set[str] | None] = ContextVar("shown", default=None)


def show(*profiles: str | None) -> None:
    """Note that the request shows something of these profiles."""
    if (known := shown.get()) is not None:
        known.update(filter(None, profiles))


class CannotAudit(Exception):
    """Nothing can be written down; the message says what to do."""


class AuditLog:
    """The file of this process. Thread-safe."""

    def __init__(self, folder: Path, graph: Graph, clock: Clock) -> None:
        """Raises :class:`CannotAudit` where the folder cannot be written."""
        self.file = new_id() + SUFFIX
        self._graph, self._clock = graph, clock
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(folder / self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as e:
            what = f"what is read and changed cannot be written down in {folder}: {e.strerror}"
            raise CannotAudit(f"{what}; choose another --data-dir") from None
        self._lines, self._hash, self._anchored = 0, _chained(self.file, b""), 0
        self._guard = threading.Lock()
        self._periodic = Periodic("audit", self._anchor, ANCHORED, first=ANCHORED)
        self._periodic.start()

    def tell(self, caller: str, does: str, what: Collection[str], profiles: Collection[str], **more: Any) -> None:
        """Write down that a caller reads or changes; ``what`` are the operations, ``profiles`` those that it shows."""
        with self._guard:
            number = self._lines + 1
            entry = {"n": number, "at": self._clock(), "caller": caller, "does": does, "what": sorted(what)}
            text = orjson.dumps(entry | more | {"profiles": sorted(profiles)})
            chained = _chained(self._hash, text)
            os.write(self._fd, _HEAD + chained.encode() + b'",' + text[1:] + b"\n")
            self._lines, self._hash = number, chained

    def close(self) -> None:
        """Tell the database of the last lines."""
        self._periodic.close()
        self._anchor()
        os.close(self._fd)

    def _anchor(self) -> None:
        with self._guard:
            lines, chained = self._lines, self._hash
        if lines == self._anchored:
            return
        os.fsync(self._fd)
        anchor = {"file": self.file, "lines": lines, "hash": chained, "at": self._clock()}
        try:
            self._graph.write(lambda tx: tx.do("audit/anchor", **anchor))
        except StoreError as e:
            logger.warning("the database was not told of the audit's last lines: %s", e)
        else:
            self._anchored = lines


@dataclass
class AuditVerdict:
    """How many files and lines there are, and a sentence for each thing that is wrong."""

    files: int = 0
    lines: int = 0
    findings: list[str] = field(default_factory=list[str])


def verify_audit(folder: Path, graph: Graph) -> AuditVerdict:
    """Check every chain, and that no file is shorter than the database knows."""
    verdict = AuditVerdict()
    anchors = {file: (lines, chained) for file, lines, chained in graph.read("audit/list", timeout=LONG_READ_TIMEOUT)}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        verdict.files += 1
        lines, chained = anchors.pop(path.name, (0, None))
        number, before = 0, _chained(path.name, b"")
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                verdict.lines += 1
                after = _chained(before, b"{" + line[len(_HEAD) + len(before) + 2 :].rstrip(b"\n"))
                if not line.startswith(_HEAD + after.encode() + b'",') or not line.endswith(b"\n"):
                    verdict.findings.append(f"{path.name}, line {number}: it does not follow from the line before it")
                    break
                before = after
                if number == lines and chained != after:
                    verdict.findings.append(f"{path.name}, line {number}: it is not the one that the database knows")
            else:
                if number < lines:
                    verdict.findings.append(f"{path.name} has {number:,} lines, the database knows of {lines:,}")
    verdict.findings += [f"{file} is missing, of which the database knows" for file in sorted(anchors)]
    return verdict


def audit_entries(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What was written down, file by file in the order in which they were begun."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with path.open("rb") as file:
            for line in file:
                yield orjson.loads(line)


_HEAD = b'{"hash":"'


def _chained(before: str, text: bytes) -> str:
    return blake2b(before.encode() + text, digest_size=16).hexdigest()
