"""Fetching the locked jars of Neo4j Community, verified, once per user.

The cache of a user holds `jars/<sha256>.jar` and, per version, `lib/<version>-<lock hash>/` with hard links
to them, which is the class path. The jars are fetched by the user's machine and never redistributed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from rich.console import Console

from identity_graph.neo4j_runtime.failure import RuntimeFailure, from_os_error

if TYPE_CHECKING:
    from jgo.maven import MavenContext

DEFAULT_VERSION = "2026.09.0"
THREADS = 12
ATTEMPTS = 3
_LOCKS = Path(__file__).parent / "locks"
_COMPLETE = ".complete"


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked artifact: Maven coordinate, SHA-256 in hexadecimal, size in bytes."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{suffix}.jar"


@dataclass(frozen=True, slots=True)
class Provision:
    """Where the jars of a version are: the class path is every jar of `lib`, in the order of the lock."""

    version: str
    lib: Path
    jars: tuple[Jar, ...]

    @property
    def class_path(self) -> list[Path]:
        return [self.lib / jar.file_name for jar in self.jars]


def cache_root() -> Path:
    """The user's cache: IDENTITY_GRAPH_CACHE_DIR, else the platform's place for caches."""
    if chosen := os.environ.get("IDENTITY_GRAPH_CACHE_DIR"):
        return Path(chosen).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "identity-graph"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "identity-graph"


def known_versions() -> list[str]:
    return sorted(path.name.removesuffix(".lock") for path in _LOCKS.glob("*.lock"))


def resolve_version(version: str | None) -> str:
    """The locked version that is meant: `None` is the default, `5.26` is the locked 5.26.x."""
    wanted = version or DEFAULT_VERSION
    for known in known_versions():
        if known == wanted or known.startswith(f"{wanted}."):
            return known
    raise RuntimeFailure(
        "unknown_version",
        f"Neo4j {wanted} is not a version this program can run.",
        f"Choose one of: {', '.join(known_versions())}.",
    )


def locked_jars(version: str) -> tuple[Jar, ...]:
    jars: list[Jar] = []
    for line in (_LOCKS / f"{version}.lock").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinate, sha256, size = line.split()
            group, artifact, number, *classifier = coordinate.split(":")
            jars.append(Jar(group, artifact, number, "".join(classifier), sha256, int(size)))
    return tuple(jars)


def provisioned(version: str) -> Provision | None:
    """The jars of a version if every one is in the cache with the right size; nothing is read or fetched."""
    found = _layout(version)
    if not (found.lib / _COMPLETE).exists():
        return None
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(found.lib)}
    except OSError:
        return None
    return found if all(sizes.get(jar.file_name) == jar.size for jar in found.jars) else None


def corrupt_jars(found: Provision) -> list[str]:
    """File names of the jars in the class path whose bytes are not what the lock says. Reads them all."""
    return [jar.file_name for jar in found.jars if not _is_intact(found.lib / jar.file_name, jar)]


def provision(version: str, *, progress: bool = True) -> Provision:
    """Make the jars of a locked version available, fetching what the cache lacks.

    Raises `RuntimeFailure` with the code `offline`, `corrupt_jar` or `disk_full`.
    """
    if found := provisioned(version):
        return found
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "provision.lock"):
            # Another process may have done it while this one waited.
            return provisioned(version) or _provision(root, _layout(version), progress)
    except OSError as error:
        raise from_os_error(error, root, "IDENTITY_GRAPH_CACHE_DIR") from error


def can_fetch(version: str) -> bool:
    """Whether the smallest jar of a version can be fetched now. Keeps nothing."""
    import requests
    from jgo.maven import MavenContext

    jar = min(locked_jars(version), key=lambda jar: jar.size)
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=10)
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            return _is_intact(Path(component.artifact(jar.classifier, "jar").resolve()), jar)
        except (requests.RequestException, RuntimeError):
            return False


def repair(found: Provision, *, progress: bool = True) -> bool:
    """Replace the jars that fail verification. False when all were intact, so that nothing was wrong."""
    broken = corrupt_jars(found)
    for name in broken:
        # Also in the store, should it be the same file; it is verified again before it is linked.
        (found.lib / name).unlink(missing_ok=True)
    if broken:
        # Made of the former files, they would never fit again.
        for archive in found.lib.glob("*.jsa"):
            archive.unlink(missing_ok=True)
    provision(found.version, progress=progress)
    return bool(broken)


def _layout(version: str) -> Provision:
    digest = hashlib.sha256((_LOCKS / f"{version}.lock").read_bytes()).hexdigest()[:12]
    return Provision(version, cache_root() / "lib" / f"{version}-{digest}", locked_jars(version))


def _stored(root: Path, jar: Jar) -> Path:
    return root / "jars" / f"{jar.sha256}.jar"


def _provision(root: Path, target: Provision, progress: bool) -> Provision:
    (root / "jars").mkdir(exist_ok=True)
    missing = [jar for jar in target.jars if not _is_intact(_stored(root, jar), jar)]
    if missing:
        needed = sum(jar.size for jar in missing) + 50_000_000
        free = shutil.disk_usage(root).free
        if free < needed:
            raise RuntimeFailure(
                "disk_full",
                f"Neo4j needs {needed >> 20} MB in {root} and only {free >> 20} MB are free.",
                "Free some space, or set IDENTITY_GRAPH_CACHE_DIR to a folder on a larger disk.",
            )
        for left_over in root.glob("staging-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        _fetch_all(root, target.version, missing, progress)
    target.lib.mkdir(parents=True, exist_ok=True)
    for jar in target.jars:
        _link(_stored(root, jar), target.lib / jar.file_name)
    (target.lib / _COMPLETE).touch()
    return target


def _fetch_all(root: Path, version: str, jars: list[Jar], progress: bool) -> None:
    # Needed on a machine's first start only, and slow to import.
    from jgo.maven import MavenContext

    # Largest first, so that no big one is left alone at the end.
    jars = sorted(jars, key=lambda jar: -jar.size)
    give_up = threading.Event()
    with tempfile.TemporaryDirectory(prefix="staging-", dir=root) as staging:
        context = MavenContext(repo_cache=Path(staging), timeout=30)
        with (
            ThreadPoolExecutor(THREADS) as pool,
            _progress(f"Fetching Neo4j {version}", sum(jar.size for jar in jars), progress) as advance,
        ):
            futures = [pool.submit(_fetch, context, root, jar, give_up) for jar in jars]
            try:
                for future in as_completed(futures):
                    advance(future.result())
            except BaseException:
                give_up.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _fetch(context: MavenContext, root: Path, jar: Jar, give_up: threading.Event) -> int:
    """Fetch one jar into the cache. Returns its size in bytes, 0 when another one has failed meanwhile."""
    import requests

    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    artifact = component.artifact(jar.classifier, "jar")
    problem: Exception | None = None
    for _ in range(ATTEMPTS):
        if give_up.is_set():
            return 0
        try:
            path = Path(artifact.resolve())
        except (requests.RequestException, RuntimeError) as error:
            problem = error
            # A transfer that was cut leaves a partial file behind, which would be taken for the whole one.
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)
            give_up.wait(0.5)
            continue
        if _is_intact(path, jar):
            os.replace(path, _stored(root, jar))
            return jar.size
        problem = None
        path.unlink()
    if problem is None:
        raise RuntimeFailure(
            "corrupt_jar",
            f"{jar.file_name} arrived {ATTEMPTS} times with other bytes than the locked ones.",
            "Something between this machine and the repository changes downloads; try another network, or "
            "set NEO4J_URI to use a server of your own.",
        )
    raise RuntimeFailure(
        "offline",
        f"Neo4j is not in the cache yet and {jar.file_name} could not be fetched.",
        "Connect this machine to the internet once (a proxy is read from HTTPS_PROXY), copy "
        f"{root} from a machine that has it, or set NEO4J_URI to use a server of your own.",
    ) from problem


def _is_intact(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Some file systems know no hard links.
        shutil.copyfile(source, target)


@contextmanager
def _progress(title: str, total: int, shown: bool) -> Generator[Callable[[int], None]]:
    """A bar on a terminal, a line at every quarter elsewhere. Yields a function that takes bytes done."""
    console = Console(stderr=True)
    if shown and console.is_terminal:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(title, total=total)
            yield lambda size: bar.advance(task, size)
        return
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        before, done = done * 4 // total, done + size
        if shown and done * 4 // total > before:
            console.print(f"{title}: {done >> 20} of {total >> 20} MB", highlight=False)

    yield advance
