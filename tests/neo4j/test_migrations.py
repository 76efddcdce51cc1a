"""The schema comes into a graph once, whole, and in the order of the files."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import neo4j
import pytest

from identity_graph.app import opened
from identity_graph.contracts import contracts
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.submit import now
from identity_graph.store import statements
from identity_graph.store.errors import Refused, SchemaMismatch
from identity_graph.store.graph import Graph
from identity_graph.store.statements import migrations

#: A migration of the tests' own: it is not safe to run twice, so a second run would show.
NEXT = """// Something that a test adds.
CREATE CONSTRAINT probe_id FOR (p:Probe) REQUIRE p.id IS UNIQUE;
CREATE INDEX probe_at FOR (p:Probe) ON (p.at);
"""


@pytest.fixture
def bare(migrated: Graph, driver: neo4j.Driver) -> Iterator[Graph]:
    """A database without any schema; afterwards it has the real one again."""
    strip(driver)
    yield migrated
    strip(driver)
    migrated.migrate(now())


def strip(driver: neo4j.Driver) -> None:
    with driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS").consume()
        for kind in ("CONSTRAINT", "INDEX"):
            rows = session.run(f"SHOW {kind}ES" if kind == "INDEX" else f"SHOW {kind}S").data()
            for row in rows:
                if row["type"] != "LOOKUP":
                    session.run(f"DROP {kind} `{row['name']}`").consume()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of migrations, a copy that a test may change; the statements stay."""
    for name, text in migrations():
        (tmp_path / "cypher" / "migrations").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cypher" / "migrations" / name).write_text(text)
    (tmp_path / "cypher" / "statements").symlink_to(contracts("cypher") / "statements")
    monkeypatch.setattr(statements, "contracts", lambda kind: tmp_path / kind)
    return tmp_path / "cypher" / "migrations"


def schema(driver: neo4j.Driver) -> set[str]:
    with driver.session() as session:
        rows = session.run("SHOW INDEXES YIELD name, type, state").values()
    assert {state for _, _, state in rows} == {"ONLINE"}
    return {name for name, type_, _ in rows if type_ != "LOOKUP"}


def test_each_migration_is_applied_once(bare: Graph, driver: neo4j.Driver, files: Path) -> None:
    names = [name for name, _ in migrations()]
    assert not bare.is_current()
    assert bare.migrate(now()) == names
    assert bare.is_current()
    before = schema(driver)
    assert bare.migrate(now()) == []
    assert schema(driver) == before
    assert {"identifier_key", "member_of_member"} <= before

    (files / "V9000__probe.cypher").write_text(NEXT)
    assert not bare.is_current()
    assert bare.migrate(now()) == ["V9000__probe.cypher"]
    assert schema(driver) == before | {"probe_id", "probe_at"}
    assert bare.is_current()


def test_two_starts_at_once_apply_each_migration_once(
    bare: Graph, neo4j_connection: Connection, driver: neo4j.Driver, files: Path
) -> None:
    (files / "V9000__probe.cypher").write_text(NEXT)
    start = threading.Barrier(4)

    def migrate(_: int) -> list[str]:
        graph = Graph.connect(neo4j_connection)
        start.wait()
        try:
            return graph.migrate(now())
        finally:
            graph.close()

    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(migrate, range(4)))
    assert sorted(applied) == [[], [], [], [name for name, _ in migrations()]]
    assert bare.is_current()
    assert "probe_id" in schema(driver)


def test_a_service_waits_while_another_migrates(
    graph: Graph, neo4j_connection: Connection, driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("identity_graph.store.graph.WRITE_TIMEOUT", 0.1)

    def serve() -> None:
        with opened(neo4j_connection):
            pass

    with ThreadPoolExecutor(1) as pool, driver.session() as session, session.begin_transaction() as migrating:
        migrating.run(statements.statement("migration/hold").text).consume()
        opening = pool.submit(serve)
        # The server gives a lock up after 5 s, and whoever had a request's patience would ask just once more.
        with pytest.raises(TimeoutError):
            opening.result(12)
        migrating.rollback()
        opening.result()


def test_a_migration_that_was_changed_after_it_was_applied_is_named(bare: Graph, files: Path) -> None:
    bare.migrate(now())
    changed = files / migrations()[0][0]
    changed.write_text(changed.read_text() + "// A word more.\n")
    for check in (bare.is_current, lambda: bare.migrate(now())):
        with pytest.raises(SchemaMismatch, match=changed.name):
            check()


def test_a_graph_of_a_newer_program_is_refused(bare: Graph, files: Path) -> None:
    newer = files / "V9000__probe.cypher"
    newer.write_text(NEXT)
    bare.migrate(now())
    newer.unlink()
    for check in (bare.is_current, lambda: bare.migrate(now())):
        with pytest.raises(SchemaMismatch, match=r"V9000__probe\.cypher.* newer"):
            check()


def test_a_migration_that_broke_off_is_applied_by_the_next_start(
    bare: Graph, driver: neo4j.Driver, files: Path
) -> None:
    """Schema changes commit one by one, so what was done must be no obstacle."""
    broken = files / "V9000__probe.cypher"
    again = NEXT.replace(" FOR", " IF NOT EXISTS FOR")
    broken.write_text(again.replace("CREATE INDEX", "CREATE NONSENSE"))
    with pytest.raises(Refused):
        bare.migrate(now())
    assert not bare.is_current()
    broken.write_text(again)
    assert "V9000__probe.cypher" in bare.migrate(now())
    assert {"probe_id", "probe_at"} <= schema(driver)
