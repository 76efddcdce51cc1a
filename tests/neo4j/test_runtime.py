"""The embedded database keeps its promises whatever happens to the processes around it."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from neo4j import GraphDatabase

from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection, RuntimeFailure
from identity_graph.neo4j_runtime.provision import Provision, cache_root, corrupt_jars, provision
from identity_graph.neo4j_runtime.server import MIN_FREE_DISK_MB

Options = dict[str, Any]

# Another command that uses the database until its standard input ends.
CLIENT = """
import json, sys
from pathlib import Path
from identity_graph import neo4j_runtime
options = json.loads(sys.argv[2])
with neo4j_runtime.running(Path(sys.argv[1]), **options, progress=False) as connection:
    print(connection.uri, flush=True)
    sys.stdin.read()
"""


def query(connection: Connection, text: str, **parameters: Any) -> list[list[Any]]:
    auth = (connection.user, connection.password)
    with GraphDatabase.driver(connection.uri, auth=auth) as driver, driver.session() as session:
        return session.execute_write(lambda transaction: transaction.run(text, parameters).values())


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def supervisor_of(data_dir: Path) -> int:
    return json.loads((data_dir / "run" / "state.json").read_text())["supervisor"]


@contextmanager
def client(data_dir: Path, options: Options) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Another command, and the address that it was given."""
    command = [sys.executable, "-c", CLIENT, str(data_dir), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def provision_apart(tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch) -> Provision:
    """A class path of one's own, of the jars that are there."""
    provision(options["version"], progress=False)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "jars").symlink_to(cache_root() / "jars")
    monkeypatch.setenv("IDENTITY_GRAPH_CACHE_DIR", str(tmp_path / "cache"))
    return provision(options["version"], progress=False)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    folder = tmp_path_factory.mktemp("runtime") / "with space"
    yield folder
    neo4j_runtime.stop(folder)


def test_the_run_has_a_server_of_the_version_asked_for(neo4j_connection: Connection) -> None:
    [[versions]] = query(
        neo4j_connection, "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions"
    )
    wanted = neo4j_runtime.resolve_version(os.environ.get("IDENTITY_GRAPH_TEST_NEO4J_VERSION"))
    assert versions == [wanted]


def test_commands_share_one_server_which_ends_with_the_last(data_dir: Path, small: Options) -> None:
    with neo4j_runtime.running(data_dir, **small) as mine:
        found = neo4j_runtime.status(data_dir)
        assert (found.running, found.uri, found.in_use, found.keep) == (True, mine.uri, True, False)
        assert found.pid
        java = psutil.Process(found.pid)
        with client(data_dir, small) as (other, address):
            assert address == mine.uri
            with neo4j_runtime.running(data_dir) as again:
                assert again == mine
            with pytest.raises(RuntimeFailure) as refused:
                neo4j_runtime.start(data_dir, port=1, progress=False)
            assert refused.value.code == "runs_otherwise"
            other.communicate("")
        assert query(mine, "RETURN 1") == [[1]]
    eventually(lambda: not neo4j_runtime.status(data_dir).running)
    assert not java.is_running()


def test_only_this_machine_and_this_user_can_reach_it(data_dir: Path, small: Options) -> None:
    with neo4j_runtime.running(data_dir, **small) as connection:
        java = psutil.Process(neo4j_runtime.status(data_dir).pid)
        listening = {c.laddr.ip for c in java.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE((data_dir / "password").stat().st_mode) == 0o600
        shown = " ".join([repr(connection), *java.cmdline(), *java.environ().values()])
        assert connection.password not in shown
        assert len(connection.password) >= 32


def test_a_killed_command_leaves_nothing_behind(data_dir: Path, small: Options) -> None:
    with client(data_dir, small) as (process, _):
        pids = [neo4j_runtime.status(data_dir).pid, supervisor_of(data_dir)]
        process.kill()
    eventually(lambda: not any(map(psutil.pid_exists, pids)))
    assert not neo4j_runtime.status(data_dir).running


def test_a_killed_supervisor_takes_the_server_with_it(data_dir: Path, small: Options) -> None:
    with neo4j_runtime.running(data_dir, **small) as connection:
        query(connection, "CREATE (:Survivor {of: 'supervisor'})")
        java = neo4j_runtime.status(data_dir).pid
        os.kill(supervisor_of(data_dir), signal.SIGKILL)
        if sys.platform == "linux":
            # Elsewhere there is no parent-death signal, and the next start ends it.
            eventually(lambda: not psutil.pid_exists(java))
        with neo4j_runtime.running(data_dir, **small) as anew:
            assert not psutil.pid_exists(java)
            assert query(anew, "MATCH (s:Survivor {of: 'supervisor'}) RETURN count(s)") == [[1]]


def test_a_killed_server_comes_back_with_all_its_data(data_dir: Path, small: Options) -> None:
    """The driver's own retries bridge the gap: the same connection goes on."""
    with neo4j_runtime.running(data_dir, **small) as connection:
        auth = (connection.user, connection.password)
        with GraphDatabase.driver(connection.uri, auth=auth, max_transaction_retry_time=300) as driver:
            for number in range(30):
                if number == 15:
                    os.kill(neo4j_runtime.status(data_dir).pid, signal.SIGKILL)
                driver.execute_query("MERGE (:Written {number: $number})", number=number)
            records = driver.execute_query("MATCH (w:Written) RETURN collect(w.number) AS numbers").records
        assert sorted(records[0]["numbers"]) == list(range(30))
        assert neo4j_runtime.status(data_dir).restarts == 1


def test_a_kept_server_outlives_its_users_until_it_is_stopped(data_dir: Path, small: Options) -> None:
    with client(data_dir, {**small, "keep": True}) as (process, _):
        process.kill()
    found = neo4j_runtime.status(data_dir)
    assert (found.running, found.keep, found.in_use) == (True, True, False)
    with neo4j_runtime.running(data_dir) as connection:
        query(connection, "MERGE (:Kept)")
    assert neo4j_runtime.status(data_dir).pid == found.pid

    # Maintenance needs it to itself and brings it back as it was.
    neo4j_runtime.check(data_dir, progress=False)
    again = neo4j_runtime.status(data_dir)
    assert (again.running, again.keep, again.heap_mb) == (True, True, small["heap_mb"])

    neo4j_runtime.stop(data_dir)
    assert not neo4j_runtime.status(data_dir).running
    neo4j_runtime.stop(data_dir)


def test_a_dump_restores_what_was_there(data_dir: Path, small: Options, tmp_path: Path) -> None:
    file = tmp_path / "backup.dump"
    count = "MATCH (d:Dumped) RETURN count(d)"
    with neo4j_runtime.running(data_dir, **small) as connection:
        query(connection, "UNWIND range(1, 100) AS number CREATE (:Dumped {number: number})")
        with client(data_dir, small), pytest.raises(RuntimeFailure) as refused:
            neo4j_runtime.dump(data_dir, file, progress=False)
        assert refused.value.code == "in_use"
        assert query(connection, count) == [[100]]
    neo4j_runtime.dump(data_dir, file, progress=False)

    with neo4j_runtime.running(data_dir, **small) as connection:
        query(connection, "MATCH (d:Dumped) WHERE d.number > 50 DELETE d")
    noise = tmp_path / "noise.dump"
    noise.write_bytes(os.urandom(10_000))
    for wrong, code in ((noise, "not_a_dump"), (tmp_path / "none.dump", "no_file")):
        with pytest.raises(RuntimeFailure) as refused:
            neo4j_runtime.load(data_dir, wrong, progress=False)
        assert refused.value.code == code
    with neo4j_runtime.running(data_dir, **small) as connection:
        assert query(connection, count) == [[50]]

    neo4j_runtime.load(data_dir, file, progress=False)
    with neo4j_runtime.running(data_dir, **small) as connection:
        assert query(connection, count) == [[100]]


def test_bulk_import_fills_the_graph_and_a_failed_one_leaves_it_empty(
    data_dir: Path, small: Options, tmp_path: Path
) -> None:
    people, knows = tmp_path / "people.csv", tmp_path / "knows.csv"
    people.write_text(
        'key:ID(Person),name,tags:string[],seen:datetime\n1,"Ann ""A"", Lee",a\x1fb,2026-01-02T03:04:05Z\n2,"",,\n'
    )
    knows.write_text(":START_ID(Person),:END_ID(Person),weight:double\n1,2,0.5\n")
    files = ([("Person:Known", [people])], [("KNOWS", [knows])])
    report = neo4j_runtime.bulk_import(data_dir, *files, version=small["version"], progress=False)
    assert (report.nodes, report.relationships, report.properties) == (2, 1, 7)

    def must_be_empty(connection: Connection) -> None:
        if query(connection, "MATCH (n) RETURN count(n)") != [[0]]:
            raise LookupError

    # A graph that was filled meanwhile is not lost.
    with pytest.raises(LookupError):
        neo4j_runtime.bulk_import(data_dir, *files, make_sure=must_be_empty, progress=False)
    with neo4j_runtime.running(data_dir, **small) as connection:
        found = query(
            connection,
            "MATCH (a:Person:Known)-[k:KNOWS]->(b) "
            "RETURN a.name, a.tags, toString(a.seen), k.weight, b.name, b.tags, b:Person AND b:Known",
        )
    assert found == [['Ann "A", Lee', ["a", "b"], "2026-01-02T03:04:05Z", 0.5, "", None, True]]

    knows.write_text(":START_ID(Person),:END_ID(Person),weight:double\n1,3,0.5\n")
    with pytest.raises(RuntimeFailure) as failed:
        neo4j_runtime.bulk_import(data_dir, *files, version=small["version"], progress=False)
    assert failed.value.code == "tool_failed"
    with neo4j_runtime.running(data_dir, **small) as connection:
        assert query(connection, "MATCH (n) RETURN count(n)") == [[0]]


# A command that fills the graph and never gets to its end.
IMPORTER = """
import sys
from pathlib import Path
from identity_graph import neo4j_runtime
neo4j_runtime.bulk_import(Path(sys.argv[1]), [("Late", [Path(sys.argv[2])])], [], version=sys.argv[3])
"""


def busy(parent: int) -> list[psutil.Process]:
    """Children that have computed for half a second."""
    found: list[psutil.Process] = []
    for child in psutil.Process(parent).children():
        with suppress(psutil.NoSuchProcess):
            if child.cpu_times().user > 0.5:
                found.append(child)
    return found


@contextmanager
def importing(
    script: str, data_dir: Path, small: Options, tmp_path: Path
) -> Generator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """A command that leads a group of its own, as in a terminal, and the tool by which it imports."""
    rows = tmp_path / "rows.csv"
    rows.write_text("key:ID\n" + "\n".join(map(str, range(2_000_000))) + "\n")
    neo4j_runtime.stop(data_dir)
    command = [sys.executable, "-c", script, str(data_dir), str(rows), str(small["version"])]
    with subprocess.Popen(command, start_new_session=True) as process:
        # Begun for good: the tool, not a question for Java's version before it, has replaced the old files.
        began = data_dir / "neo4j/data/databases/neo4j/neostore"
        eventually(lambda: (data_dir / "unfinished").exists() and began.exists())
        eventually(lambda: bool(busy(process.pid)))
        yield process, busy(process.pid)[0]


def test_a_killed_import_leaves_an_empty_graph(data_dir: Path, small: Options, tmp_path: Path) -> None:
    with importing(IMPORTER, data_dir, small, tmp_path) as (process, tool):
        process.kill()
    assert (data_dir / "unfinished").exists()
    if sys.platform == "linux":
        eventually(lambda: not tool.is_running())
    with neo4j_runtime.running(data_dir, **small) as connection:
        assert query(connection, "MATCH (n) RETURN count(n)") == [[0]]
    assert not (data_dir / "unfinished").exists()


def test_a_command_that_goes_on_after_ctrl_c_has_its_import(data_dir: Path, small: Options, tmp_path: Path) -> None:
    """A terminal sends it to the whole group, and Java would end in the middle of the work."""
    notes_it = "import signal; signal.signal(signal.SIGINT, lambda *_: None)"
    with importing(notes_it + IMPORTER, data_dir, small, tmp_path) as (process, _):
        os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 0
    with neo4j_runtime.running(data_dir, **small) as connection:
        assert query(connection, "MATCH (n) RETURN count(n)") == [[2_000_000]]


def test_after_an_interrupted_load_it_asks_for_the_dump_again(tmp_path: Path, small: Options) -> None:
    (tmp_path / "unfinished").write_text("load")
    for use in (neo4j_runtime.start, neo4j_runtime.check):
        with pytest.raises(RuntimeFailure) as failed:
            use(tmp_path, progress=False)
        assert failed.value.code in ("unfinished_load", "no_data")


def test_a_taken_port_and_taken_files_are_named(data_dir: Path, small: Options, tmp_path: Path) -> None:
    neo4j_runtime.stop(data_dir)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(RuntimeFailure) as failed:
        neo4j_runtime.start(data_dir, **small, port=taken.getsockname()[1], progress=False)
    assert failed.value.code == "port_taken"

    # Another program's server on the same files, here one that reached them by another way.
    other = tmp_path / "other"
    other.mkdir()
    (other / "neo4j").symlink_to(data_dir / "neo4j")
    with neo4j_runtime.running(data_dir, **small), pytest.raises(RuntimeFailure) as failed:
        neo4j_runtime.start(other, **small, progress=False)
    assert failed.value.code == "data_in_use"
    assert not neo4j_runtime.status(other).running


def test_an_older_version_does_not_touch_newer_data(tmp_path: Path, small: Options) -> None:
    (tmp_path / "version").write_text("2999.01.0")
    with pytest.raises(RuntimeFailure) as failed:
        neo4j_runtime.start(tmp_path, **small, progress=False)
    assert failed.value.code == "newer_data"
    assert not (tmp_path / "neo4j").exists()


def test_options_for_java_have_the_last_word(tmp_path: Path, small: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_GRAPH_JAVA_OPTIONS", "-Dfile.encoding=COMPAT -XX:NoSuchOption=1")
    with pytest.raises(RuntimeFailure):
        neo4j_runtime.start(tmp_path, **small, progress=False)
    assert "NoSuchOption" in (tmp_path / "run" / "console.log").read_text()


def test_a_java_that_cannot_start_is_explained(tmp_path: Path, small: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every failure is a sentence with advice, also those that come from within Java."""
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    monkeypatch.setenv("IDENTITY_GRAPH_JAVA_HOME", str(tmp_path / "jdk"))

    def fails(version: str, body: str) -> RuntimeFailure:
        java.write_text(
            f'#!/bin/sh\nif [ "$1" = -version ]; then echo \'openjdk version "{version}"\' >&2; exit; fi\n{body}\n'
        )
        java.chmod(0o755)
        with pytest.raises(RuntimeFailure) as failed:
            neo4j_runtime.start(tmp_path / "data", **small, progress=False)
        assert re.fullmatch(r"[A-Z].*\.", failed.value.args[0])
        assert re.fullmatch(r"[A-Z].*\.", failed.value.advice)
        return failed.value

    assert fails("11.0.2", "exit 1").code == "unsuitable_java"
    assert fails("1.8.0", "exit 1").code == "unsuitable_java"
    assert fails("21.0.2", "kill -9 $$").code == "too_little_memory"
    assert (
        fails("21.0.2", "echo 'Could not reserve enough space for 999KB object heap'; exit 1").code
        == "too_little_memory"
    )
    assert fails("21.0.2", "echo 'java.io.IOException: No space left on device'; exit 1").code == "disk_full"
    crash = fails("21.0.2", "echo one; echo 'ERROR Failed to start: the dog ate it'; exit 3")
    assert crash.code == "crash"
    assert "the dog ate it" in str(crash)
    java.write_text("no program")
    with pytest.raises(RuntimeFailure, match="no Java that runs here"):
        neo4j_runtime.start(tmp_path / "data", **small, progress=False)


def test_a_jar_that_rotted_is_mended_by_the_start_that_meets_it(
    tmp_path: Path, small: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = provision_apart(tmp_path, small, monkeypatch)
    archive = found.lib / "neo4j-of-what-it-was.jsa"
    archive.touch()
    kernel = found.lib / f"neo4j-kernel-{small['version']}.jar"
    size = kernel.stat().st_size
    # A file of its own, as the one that the store has is everybody's.
    kernel.unlink()
    kernel.write_bytes(b"x" * size)
    with neo4j_runtime.running(tmp_path / "data", **small) as connection:
        assert query(connection, "RETURN 1") == [[1]]
    assert corrupt_jars(found) == []
    assert not archive.exists()


def test_a_server_that_ends_leaves_its_classes_to_the_next(
    tmp_path: Path, small: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that were at it, one does; and a file that is no such archive is in nobody's way."""
    lib = provision_apart(tmp_path, small, monkeypatch).lib
    first, other = tmp_path / "first", tmp_path / "other"

    def archives_in_use(data_dir: Path) -> set[str]:
        java = json.loads((data_dir / "run" / "state.json").read_text())["java"]
        return {path.name for map in psutil.Process(java).memory_maps() if (path := Path(map.path)).suffix == ".jsa"}

    with neo4j_runtime.running(first, **small, progress=False):
        (own,) = archives_in_use(first)
        with neo4j_runtime.running(other, **small, progress=False):
            assert archives_in_use(other) == {own}
            # Who is killed leaves nothing that others would take for whole.
            os.kill(supervisor_of(other), signal.SIGKILL)
    neo4j_runtime.stop(first)
    assert {path.name for path in lib.glob("*.jsa*")} == {own, own.replace("java", "neo4j")}
    with neo4j_runtime.running(first, **small, progress=False) as connection:
        assert archives_in_use(first) == {own, own.replace("java", "neo4j")}
        assert query(connection, "RETURN 1") == [[1]]
    neo4j_runtime.stop(first)
    for path in lib.glob("*.jsa"):
        path.write_bytes(path.read_bytes()[:10_000])
    with neo4j_runtime.running(other, **small, progress=False) as connection:
        assert archives_in_use(other) == set()
        assert query(connection, "RETURN 1") == [[1]]


def test_a_full_disk_is_seen_before_java_starts(
    tmp_path: Path, small: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(MIN_FREE_DISK_MB << 20) - 1))
    with pytest.raises(RuntimeFailure, match="IDENTITY_GRAPH_DATA_DIR") as failed:
        neo4j_runtime.start(tmp_path, **small, progress=False)
    assert failed.value.code == "disk_full"
    assert not (tmp_path / "run" / "state.json").exists()


def test_too_little_memory_is_seen_before_java_starts(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure) as failed:
        neo4j_runtime.start(tmp_path, heap_mb=10_000_000, progress=False)
    assert failed.value.code == "too_little_memory"
