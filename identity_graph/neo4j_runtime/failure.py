"""What can go wrong around the embedded database, in words for the person at the terminal."""

from __future__ import annotations

import errno
import re
from pathlib import Path


class RuntimeFailure(Exception):
    """The embedded database cannot do what was asked.

    `code` is a stable word for programs, the message says what is wrong in one sentence, and `advice` says
    what to do about it.
    """

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.args[0]} {self.advice}"


# What the output of a Java process that failed says, the most telling first.
_SIGNS = (
    (
        "data_in_use",
        r"FileLockException|store_lock|database is in use|DatabaseLocked",
        "Another program uses the database files of this data directory.",
        "Stop it (for a server of this program: `identity-graph neo4j stop`), or choose another data directory.",
    ),
    (
        "port_taken",
        r"Address already in use|BindException",
        "The port for the database is taken by another program.",
        "Choose another with --port, or leave it out to get a free one.",
    ),
    (
        "disk_full",
        r"No space left on device|Disk quota exceeded|NotEnoughDiskSpace|not have enough space",
        "The disk that holds the data directory is full.",
        "Free some space, or move the data directory to a larger disk.",
    ),
    (
        "too_little_memory",
        r"insufficient memory for the Java Runtime|Could not reserve enough space|OutOfMemoryError|"
        r"Cannot allocate memory|exceeds? (?:the )?(?:available|physical) memory",
        "The machine has too little free memory for the database.",
        "Lower IDENTITY_GRAPH_HEAP_MB and IDENTITY_GRAPH_PAGE_CACHE_MB, or end other programs.",
    ),
    (
        "unsuitable_java",
        r"UnsupportedClassVersionError|Unrecognized (?:VM )?option|Could not create the Java Virtual Machine",
        "This Java cannot run Neo4j.",
        "Unset IDENTITY_GRAPH_JAVA_HOME to use the bundled one.",
    ),
    (
        "corrupt_jar",
        r"ZipException|zip END header|Invalid or corrupt jarfile|ClassNotFoundException|NoClassDefFoundError|"
        r"Could not find or load main class|ClassFormatError",
        "A file of Neo4j in the cache is damaged.",
        "Delete the cache's folder `lib` and try again.",
    ),
    (
        "newer_data",
        r"newer version|downgrade|StoreVersion|UnsupportedFormat|not possible to (?:migrate|upgrade)",
        "The data was written by another version of Neo4j that this one cannot read.",
        "Use the version that wrote it.",
    ),
    (
        "not_writable",
        r"AccessDeniedException|Permission denied|Read-only file system",
        "The data directory cannot be written.",
        "Correct its permissions, or choose another with IDENTITY_GRAPH_DATA_DIR.",
    ),
)


def from_output(text: str, otherwise: RuntimeFailure) -> RuntimeFailure:
    """The failure that a Java process's output tells of, `otherwise` if it tells of none we know."""
    for code, sign, message, advice in _SIGNS:
        if re.search(sign, text):
            return RuntimeFailure(code, message, advice)
    return otherwise


def last_words(text: str) -> str:
    """The one line of a Java process's output that says most about its end."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    telling = [line for line in lines if re.match(r"Caused by:|.*\bERROR\b|.*Exception:|Error:|[Ff]ailed", line)]
    return (telling or lines or ["It wrote nothing."])[-1][:300]


def from_os_error(error: OSError, place: Path, setting: str) -> RuntimeFailure:
    """A file operation below `place` failed; `setting` is the variable that moves it elsewhere."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RuntimeFailure(
            "disk_full",
            f"The disk that holds {place} is full.",
            f"Free some space, or set {setting} to a folder on a larger disk.",
        )
    return RuntimeFailure(
        "not_writable",
        f"{place} cannot be written ({error.strerror}).",
        f"Correct its permissions, or set {setting} to a folder that this user may write.",
    )
