"""What Neo4j's classes look like once they are loaded, kept for all later starts on this machine.

The bundled Java comes without any such archive, so each start would parse, verify and link some twenty thousand classes
anew. Two archives lie beside the jars: of Java's own classes, made before the first start in two seconds, and above it
of all that a server had loaded by the time it ended, which takes eight, once. With them a start and its first
statements take 8 s where they took 13.

Java looks by itself whether an archive fits it and its jars, and does without one that does not: nothing here makes a
start fail.
"""

import hashlib
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from identity_graph.neo4j_runtime.machine import Java
from identity_graph.neo4j_runtime.provision import Provision

#: Seconds that Java may take for its own classes.
PATIENCE = 60


@dataclass(frozen=True, slots=True)
class ClassArchive:
    """The archives of a version's jars and a Java: of Java's own classes, and of all that a server loads."""

    own: Path
    whole: Path

    @classmethod
    def of(cls, found: Provision, java: Java) -> "ClassArchive":
        name = hashlib.sha256(f"{java.executable.resolve()} {java.build}".encode()).hexdigest()[:12]
        return cls(found.lib / f"java-{name}.jsa", found.lib / f"neo4j-{name}.jsa")

    @property
    def written(self) -> Path:
        """Where a server leaves the whole when it ends."""
        return self.whole.with_name(self.whole.name + ".new")

    @property
    def unwritten(self) -> bool:
        """Whether a server could write the whole, and has not."""
        return self.own.exists() and not self.whole.exists()

    def begin(self, java: Java) -> None:
        """Make the archive of Java's own classes, where there is none and a place for it."""
        if self.own.exists() or not os.access(self.own.parent, os.W_OK):
            return
        new = self.own.with_name(f"{self.own.name}.{os.getpid()}")
        command = [java.executable, "-Xshare:dump", f"-XX:SharedArchiveFile={new}"]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
            new.replace(self.own)
        with suppress(OSError):
            new.unlink(missing_ok=True)

    def options(self) -> list[str]:
        """Java's options to read what there is."""
        there = [str(path) for path in (self.own, self.whole) if path.exists()]
        return [f"-XX:SharedArchiveFile={os.pathsep.join(there)}"] if self.own.exists() else []

    def options_to_write(self) -> list[str]:
        """Java's options to write the whole when it ends. What it leaves out it would list by the thousand."""
        return [f"-XX:ArchiveClassesAtExit={self.written}", "-Xlog:cds*=off"]
