"""The first load of an empty graph makes the graph that the write path makes, and leaves it fit to go on."""

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import neo4j
import orjson
import pytest
from pyarrow.csv import read_csv
from stored import Stored, problems, read
from typer import Typer
from typer.testing import CliRunner

from bench.streams import observations, write_jsonl
from identity_graph import cli_ingest, neo4j_runtime
from identity_graph.database import patient
from identity_graph.demo import DATA, SOURCES
from identity_graph.domain.decision import created_change_id
from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import Limits, Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.active_rules import Followed, followed
from identity_graph.services.ingest import Committed, Report, Source, ingest, prepare
from identity_graph.services.ingest_batches import batches
from identity_graph.services.ingest_first import gather
from identity_graph.services.observe import observe
from identity_graph.services.submit import now
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph

RULES = Rules()
JUNK = ("null", "undefined", "noreply@shop.example", "00000000-0000-0000-0000-000000000000")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    """A stream with shared devices, junk and merges, and the demonstration's records with all their errors."""
    folder = tmp_path_factory.mktemp("files")
    write_jsonl(folder / "stream.jsonl", observations(n_observations=1500, seed=5))
    found = [prepare(folder / "stream.jsonl", None, None, RULES)]
    for source in SOURCES:
        lines = (DATA / source.file).read_bytes().splitlines(keepends=True)
        (folder / source.file).write_bytes(b"".join(lines[:600]))
        found.append(prepare(folder / source.file, source.name, source.fields, RULES))
    return found


def said_in(sources: Iterable[Source]) -> list[Observation]:
    found = chain.from_iterable(batch.observations() for source in sources for batch in batches(source.task))
    return list({o.id: o for o in reversed(list(found))}.values())[::-1]


@pytest.fixture(scope="module")
def imported(
    sources: list[Source], small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Connection]:
    """The files imported into a server of its own."""
    reports = [Report(str(source.task.path)) for source in sources]
    first = gather(list(zip(sources, reports, strict=True)), RULES, lambda done: None, lambda: False)
    assert all(report.finished for report in reports)
    folder, data_dir = tmp_path_factory.mktemp("csv"), tmp_path_factory.mktemp("imported")
    nodes, relationships = first.write(folder)
    version = small["version"]
    neo4j_runtime.bulk_import(data_dir, nodes, relationships, version=version, id_type="integer", progress=False)
    with neo4j_runtime.running(data_dir, **small, progress=False) as connection:
        yield connection


@pytest.fixture(scope="module")
def loaded(imported: Connection) -> Generator[Graph]:
    with closing(patient(imported)) as graph:
        graph.migrate(now())
        yield graph


@pytest.fixture(scope="module")
def of_import(imported: Connection) -> Generator[neo4j.Driver]:
    off = neo4j.NotificationMinimumSeverity.OFF
    auth = (imported.user, imported.password)
    with neo4j.GraphDatabase.driver(imported.uri, auth=auth, notifications_min_severity=off) as driver:
        yield driver


def anonymous(stored: Stored) -> dict[str, Any]:
    """What is stored, each profile named by its members, without the moment of writing."""
    name = {id: " ".join(sorted(keys)) for id, keys in stored.active.items()}
    creation = {created_change_id(id): members for id, members in name.items()}

    def answered(result: str) -> Any:
        profile, refused, changes = orjson.loads(result)
        told = [[creation[id], kind] for id, kind in changes]
        return profile and [name[profile[0]], *profile[1:]], refused, told

    left_out = ("id", "created_at", "at")
    return {
        "identifiers": {
            key: i | {"joined": name[i["joined"]]} if "joined" in i else i for key, i in stored.identifiers.items()
        },
        "links": stored.links,
        "records": {key: record | {"since": None} for key, record in stored.records.items()},
        "profiles": {
            name[id]: {key: value for key, value in profile.items() if key not in left_out}
            for id, profile in stored.profiles.items()
        },
        "members": sorted((row["key"], row["member"], name[row["profile"]]) for row in stored.members),
        "observations": {
            id: {**o, "result": answered(o["result"]), "at": None} for id, o in stored.observations.items()
        },
        "tallies": stored.tallies,
        "others": (stored.former, stored.tombstones, stored.changes),
    }


def test_it_is_what_the_write_path_makes(
    sources: list[Source],
    loaded: Graph,
    of_import: neo4j.Driver,
    graph: Graph,
    driver: neo4j.Driver,
) -> None:
    said = said_in(sources)
    graph.write(lambda tx: observe(tx, said, RULES, now))
    written, made = anonymous(read(driver)), anonymous(read(of_import))
    assert written.keys() == made.keys()
    for kind, things in written.items():
        assert made[kind] == things, kind
    reasons = {link.get("reason") for link in written["links"].values()}
    assert reasons >= {None, "BLOCKED_VALUE", "SHARED_IDENTIFIER", "UNIQUE_NAMESPACE"}, "nothing to get wrong"


def test_it_keeps_every_invariant_and_the_rules(sources: list[Source], loaded: Graph, of_import: neo4j.Driver) -> None:
    assert not problems(read(of_import), said_in(sources), RULES, JUNK, by_definition=False)
    assert verify(loaded, RULES).holds
    assert followed(loaded) == Followed(RULES)


def test_names_of_traits_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    few = replace(RULES, limits=Limits(trait_names=2))
    lines = [{"id": n, "email": f"{n}@x.example", "plan": "pro", "city": "Delft", f"n{n}": 1} for n in "abc"]
    (tmp_path / "crm.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    source = prepare(tmp_path / "crm.jsonl", "crm", None, few)
    first = gather([(source, Report("crm"))], few, lambda done: None, lambda: False)
    nodes, _ = first.write(tmp_path)
    ((traits,),) = (files for label, files in nodes if label == "Trait")
    full = [row for row in read_csv(traits).to_pylist() if row["type"] == "FULL"]
    assert [(row["source"], row["left_out:long"]) for row in full] == [("crm", left_out_of(lines))]


def left_out_of(lines: list[dict[str, Any]]) -> int:
    """How many values there are beyond those of the two names that came first."""
    return sum(len(line) - 1 for line in lines) - 2 * len(lines)


def test_files_go_on_from_where_they_were_imported(
    sources: list[Source], loaded: Graph, of_import: neo4j.Driver, tmp_path: Path
) -> None:
    before = read(of_import)
    for source in sources:
        known = Committed.read_from(loaded, source.key)
        report = Report("")
        ingest(loaded, source, report, lambda done: None, lambda: False)
        assert known
        assert report.read == report.skipped == known.read > 0
        assert report.accepted == 0
    assert read(of_import) == before
    write_jsonl(tmp_path / "more.jsonl", observations(n_observations=3000, seed=5))
    more = prepare(tmp_path / "more.jsonl", None, None, RULES)
    report = Report("")
    ingest(loaded, more, report, lambda done: None, lambda: False)
    assert report.accepted == 1500
    assert not problems(read(of_import), said_in([*sources, more]), RULES, JUNK, by_definition=False)


@pytest.mark.parametrize(
    "written",
    [
        "CREATE (:Identifier {key: 'a'})",
        "CREATE (:Segment {name: 'a'})",
        "CREATE (:Model {version: 'a'})",
        "CREATE (:Audit {file: 'a'})",
        "CREATE (:Rules {version: 'a'}), (:Rules {version: 'b'})",
    ],
)
def test_what_somebody_defined_is_not_lost_to_an_import(graph: Graph, driver: neo4j.Driver, written: str) -> None:
    assert graph.read("database/is_empty") == [(True,)]
    driver.execute_query(written)
    assert graph.read("database/is_empty") == [(False,)]


def test_the_command_imports_into_nothing_and_streams_the_rest(
    tmp_path: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds but some of the rows, and a second file comes later."""
    monkeypatch.setattr(cli_ingest, "WORTH_IMPORTING", 1)
    monkeypatch.setattr("identity_graph.services.ingest_first.MOST", 300)
    monkeypatch.delenv("NEO4J_URI", raising=False)
    for name in ("heap_mb", "page_cache_mb"):
        monkeypatch.setenv(f"IDENTITY_GRAPH_{name.upper()}", str(small[name]))
    imports: list[int] = []
    true: Callable[..., Any] = neo4j_runtime.bulk_import

    def counted(*given: Any, **named: Any) -> Any:
        report = true(*given, **named)
        imports.append(report.nodes)
        return report

    monkeypatch.setattr(neo4j_runtime, "bulk_import", counted)
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_jsonl(one, observations(n_observations=900, seed=6))
    write_jsonl(two, observations(n_observations=50, seed=7))
    app = Typer()
    app.command()(cli_ingest.ingest)

    def command(*files: Path) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*map(str, files), "--json", "--data-dir", str(tmp_path / "data")])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    first = command(one)
    assert (first["read"], first["accepted"], first["duplicates"], first["skipped"]) == (900, 900, 0, 0)
    assert len(imports) == 1
    assert imports[0] > 500
    second = command(one, two)
    assert (second["read"], second["accepted"], second["duplicates"], second["skipped"]) == (950, 50, 900, 900)
    assert len(imports) == 1
