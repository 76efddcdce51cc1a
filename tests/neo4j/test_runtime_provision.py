"""Fetching the locked jars: verified, complete, once, whatever the network and the disk do.

The repository is a small web server on this machine, and the jars a few bytes long.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

import pytest

from identity_graph.neo4j_runtime import RuntimeFailure
from identity_graph.neo4j_runtime import provision as provisioning
from identity_graph.neo4j_runtime.provision import (
    corrupt_jars,
    known_versions,
    locked_jars,
    provision,
    provisioned,
    repair,
)


class Repository:
    """Serves jars under their Maven paths, counts the requests, and misbehaves on demand."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.served: list[str] = []
        self.broken: dict[str, list[str]] = {}
        self.lock = Lock()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Generator[Repository]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rsplit("/", 1)[-1]
            body = found.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            with found.lock:
                found.served.append(name)
                wrong = found.broken.get(name)
                how = wrong.pop() if wrong else "well"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write({"well": body, "changed": body[::-1], "cut": body[:5]}[how])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Repository(f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"here": found.address})
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("IDENTITY_GRAPH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(provisioning, "_LOCKS", tmp_path / "locks")
    (tmp_path / "locks").mkdir()
    return tmp_path / "cache"


def lock(repository: Repository, cache: Path, version: str, *names: str) -> None:
    """A lock of jars with these names, served by the repository."""
    lines = ["# comment"]
    for name in names:
        body = f"the jar {name}, of some length".encode()
        repository.files[f"/org/example/{name}/1.0/{name}-1.0.jar"] = body
        lines.append(f"org.example:{name}:1.0 {hashlib.sha256(body).hexdigest()} {len(body)}")
    (cache.parent / "locks" / f"{version}.lock").write_text("\n".join(lines) + "\n")


def test_every_locked_jar_arrives_once(repository: Repository, cache: Path) -> None:
    lock(repository, cache, "1.0.0", "a", "b", "c")
    assert provisioned("1.0.0") is None
    found = provision("1.0.0", progress=False)
    assert [path.read_text() for path in found.class_path] == [f"the jar {n}, of some length" for n in "abc"]
    assert sorted(repository.served) == ["a-1.0.jar", "b-1.0.jar", "c-1.0.jar"]

    repository.files.clear()
    assert provision("1.0.0", progress=False) == provisioned("1.0.0") == found
    assert len(repository.served) == 3


def test_versions_share_the_jars_they_have_in_common(repository: Repository, cache: Path) -> None:
    lock(repository, cache, "1.0.0", "a", "b")
    lock(repository, cache, "2.0.0", "b", "c")
    first, second = provision("1.0.0", progress=False), provision("2.0.0", progress=False)
    assert sorted(repository.served) == ["a-1.0.jar", "b-1.0.jar", "c-1.0.jar"]
    assert first.class_path[1].samefile(second.class_path[0])


def test_processes_that_start_together_fetch_once(repository: Repository, cache: Path) -> None:
    lock(repository, cache, "1.0.0", *"abcdefgh")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: provision("1.0.0", progress=False), range(4)))
    assert len(set(found)) == 1
    assert len(repository.served) == 8


@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_jar_that_arrives_wrong_is_fetched_again(repository: Repository, cache: Path, how: str) -> None:
    lock(repository, cache, "1.0.0", "a", "b")
    repository.broken["b-1.0.jar"] = [how, how]
    assert corrupt_jars(provision("1.0.0", progress=False)) == []
    assert repository.served.count("b-1.0.jar") == 3


def test_a_jar_that_always_arrives_changed_is_never_kept(repository: Repository, cache: Path) -> None:
    lock(repository, cache, "1.0.0", "a", "b")
    repository.broken["b-1.0.jar"] = ["changed"] * 9
    with pytest.raises(RuntimeFailure, match=r"b-1\.0\.jar arrived 3 times with other bytes") as failed:
        provision("1.0.0", progress=False)
    assert failed.value.code == "corrupt_jar"
    reversed_jar = b"the jar b, of some length"[::-1]
    assert reversed_jar not in [path.read_bytes() for path in cache.rglob("*") if path.is_file()]
    assert provisioned("1.0.0") is None


def test_without_a_network_it_says_so_and_goes_on_later(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(repository, cache, "1.0.0", "a", "b")
    lock(repository, cache, "0.9.0", "a")
    provision("0.9.0", progress=False)
    with monkeypatch.context() as offline:
        # The discard port: nothing listens there.
        offline.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"here": "http://127.0.0.1:9"})
        with pytest.raises(RuntimeFailure, match="NEO4J_URI") as failed:
            provision("1.0.0", progress=False)
        assert failed.value.code == "offline"
    provision("1.0.0", progress=False)
    assert sorted(repository.served) == ["a-1.0.jar", "b-1.0.jar"]
    assert not list(cache.glob("staging-*"))


def test_damage_in_the_cache_is_found_and_mended(repository: Repository, cache: Path) -> None:
    lock(repository, cache, "1.0.0", "a", "b", "c")
    found = provision("1.0.0", progress=False)
    assert repair(found, progress=False) is False
    size = found.class_path[1].stat().st_size
    # Written in place, so that the store, which is the same file, is damaged too.
    found.class_path[1].write_bytes(b"x" * size)
    assert corrupt_jars(found) == ["b-1.0.jar"]
    assert repair(found, progress=False) is True
    assert corrupt_jars(found) == []
    assert repository.served.count("b-1.0.jar") == 2

    # One that is missing or short is seen without reading any.
    found.class_path[2].unlink()
    assert provisioned("1.0.0") is None
    assert corrupt_jars(provision("1.0.0", progress=False)) == []


def test_a_full_or_forbidden_disk_is_named(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(repository, cache, "1.0.0", "a")

    def fails(code: str) -> None:
        with pytest.raises(RuntimeFailure, match="IDENTITY_GRAPH_CACHE_DIR") as failed:
            provision("1.0.0", progress=False)
        assert failed.value.code == code

    usage = shutil.disk_usage(cache.parent)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
        fails("disk_full")
    with monkeypatch.context() as fills_up:

        def no_space(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        fills_up.setattr(os, "replace", no_space)
        fails("disk_full")
    provision("1.0.0", progress=False)

    monkeypatch.setenv("IDENTITY_GRAPH_CACHE_DIR", str(cache.parent / "locks" / "1.0.0.lock"))
    fails("not_writable")


def test_without_hard_links_the_jars_are_copied(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    lock(repository, cache, "1.0.0", "a")
    monkeypatch.setattr(os, "link", no_links)
    assert corrupt_jars(provision("1.0.0", progress=False)) == []


def test_the_committed_locks_are_whole() -> None:
    assert len(known_versions()) >= 2
    for version in known_versions():
        jars = locked_jars(version)
        assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in jars)
        assert len({jar.file_name for jar in jars}) == len(jars), "two jars would overwrite each other"
        assert ("org.neo4j.app", "neo4j-server", version) in {(jar.group, jar.artifact, jar.version) for jar in jars}
