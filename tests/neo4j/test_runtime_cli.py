"""`identity-graph neo4j` and `identity-graph doctor`, as a person or a script uses them."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from identity_graph import neo4j_runtime
from identity_graph.cli_neo4j import doctor, neo4j_app
from identity_graph.neo4j_runtime import Connection, RuntimeFailure

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a data directory of its own; errors that `main` would word are raised."""
    monkeypatch.delenv("NEO4J_URI", raising=False)
    monkeypatch.setenv("IDENTITY_GRAPH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("IDENTITY_GRAPH_PORT", "0")
    app = typer.Typer()
    app.add_typer(neo4j_app, name="neo4j")
    app.command("doctor")(doctor)

    def run(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, RuntimeFailure):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run


def findings(result: Result) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(result.stdout)["findings"]}


def test_a_day_in_the_life_of_a_kept_server(run: Run, small: dict[str, Any], tmp_path: Path) -> None:
    assert json.loads(run("neo4j", "status", "--json").stdout)["running"] is False
    sizes = ("--heap-mb", small["heap_mb"], "--page-cache-mb", small["page_cache_mb"])
    started = json.loads(run("neo4j", "start", "--version", small["version"], *sizes, "--json").stdout)
    try:
        password = Path(started["password_file"]).read_text()
        shown = run("neo4j", "status").stdout
        assert started["uri"] in shown
        assert "stays until" in shown
        assert password not in shown + json.dumps(started)

        looked = findings(run("doctor", "--json"))
        assert looked["embedded database"]["ok"]
        assert started["uri"] in looked["embedded database"]["detail"]
        with neo4j_runtime.running(tmp_path / "data") as connection:
            [finding] = [f for f in neo4j_runtime.diagnose(tmp_path, connection) if f.name == "database"]
            assert finding.ok
            wrong = Connection(connection.uri, connection.user, "wrong")
            [finding] = [f for f in neo4j_runtime.diagnose(tmp_path, wrong) if f.name == "database"]
            assert (finding.ok, finding.advice) == (False, "Correct NEO4J_USER and NEO4J_PASSWORD.")
            with pytest.raises(RuntimeFailure, match="--force"):
                run("neo4j", "stop")

        file = tmp_path / "graph.dump"
        run("neo4j", "dump", file)
        assert "--overwrite" in run("neo4j", "dump", file, code=2).output
        assert run("neo4j", "load", file, code=1).exit_code == 1, "it asks, and nobody says yes"
        assert run("neo4j", "stop").stdout == "stopped\n"
    finally:
        neo4j_runtime.stop(tmp_path / "data")
    assert run("neo4j", "stop").stdout == "it was not running\n"


def test_with_a_server_of_ones_own_nothing_is_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv("NEO4J_URI", f"bolt://127.0.0.1:{silent.getsockname()[1]}")
        for command in (["start"], ["status"], ["stop"], ["dump", tmp_path / "x"], ["load", tmp_path / "x"], ["check"]):
            with pytest.raises(RuntimeFailure, match="NEO4J_URI is set"):
                run("neo4j", *command)
        looked = findings(run("doctor", "--json", code=1))
    assert looked["database"]["detail"].endswith("does not answer")
    assert {"data folder", "disk"} <= looked.keys(), "the audit and models are kept there"
    assert "embedded database" not in looked
    assert not (tmp_path / "data").exists()


def test_doctor_finds_what_is_wrong_and_starts_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_GRAPH_JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("IDENTITY_GRAPH_CACHE_DIR", str(tmp_path / "cache"))
    # The discard port: nothing listens there.
    monkeypatch.setattr("jgo.maven._core.DEFAULT_REMOTE_REPOS", {"here": "http://127.0.0.1:9"})
    (tmp_path / "data").write_text("not a folder")
    (tmp_path / "rules.toml").write_text("strict = 7")
    monkeypatch.setenv("IDENTITY_GRAPH_RULES", str(tmp_path / "rules.toml"))
    monkeypatch.setenv("IDENTITY_GRAPH_HEAP_MB", "10000000")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100 << 20))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("IDENTITY_GRAPH_PORT", str(taken.getsockname()[1]))
        looked = findings(run("doctor", "--json", code=1))
    wrong = {name for name, finding in looked.items() if not finding["ok"]}
    assert {"Java", "data folder", "disk", "memory", f"Neo4j {neo4j_runtime.resolve_version(None)}"} <= wrong
    assert {"rules file", "port"} <= wrong
    assert all(finding["advice"] for name, finding in looked.items() if name in wrong)
    assert not (tmp_path / "cache").exists()


def test_a_damaged_file_of_neo4j_is_found(run: Run, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_runtime.doctor, "corrupt_jars", lambda found: [found.jars[0].file_name])
    looked = findings(run("doctor", "--json", code=1))
    [jars] = [finding for name, finding in looked.items() if name.startswith("Neo4j")]
    assert (jars["ok"], jars["advice"][:6]) == (False, "Delete")
