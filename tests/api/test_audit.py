"""Who read and who changed is written down, and whatever is done to that is found."""

import asyncio
from collections.abc import Callable, Generator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from identity_graph import cli_audit
from identity_graph.api.graphql_http import GraphQL
from identity_graph.app import opened
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.audit import AuditLog, audit_entries, verify_audit
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph

from .live import Cypher, Service, an, an_email, on, running, seen


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def graph(service: Service, cypher: Cypher) -> Generator[Graph]:
    """The graph, which knows of no file of the audit."""
    forget = "MATCH (a:Audit) DELETE a"
    cypher(forget)
    yield service.graph
    cypher(forget)


def test_each_request_leaves_a_line_that_names_profiles_and_no_identifiers(
    graph: Graph, neo4j_connection: Connection, folder: Path
) -> None:
    mail, card = an_email(), an("loyalty_id")
    with running(lambda: opened(neo4j_connection, audit=folder)) as service:
        (told,) = service.submit(seen(mail, card))
        id = told["profile"]["id"]
        service.resolve(mail)
        service.post('query { ...it } fragment it on Query { profile(id: "nobody") { id } }')
        service.http.post("/v1/resolve", json={"identifiers": [card]})
        service.run("ExplainConnection", {"from": mail, "to": card})
    found = [(e["caller"], e["does"], e["what"], e["profiles"]) for e in audit_entries(folder)]
    assert found == [
        ("local", "change", ["submitLinks"], [id]),
        ("local", "read", ["resolve"], [id]),
        ("local", "read", ["profile"], []),
        ("local", "read", ["/v1/resolve"], [id]),
        ("local", "read", ["explainConnection"], [id]),
    ]
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert mail["value"] not in file.read_text()
    verdict = verify_audit(folder, graph)
    assert (verdict.files, verdict.lines, verdict.findings) == (1, 5, [])


def test_a_request_that_was_given_up_leaves_a_line_too(
    graph: Graph, neo4j_connection: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(*_: object) -> None:
        await asyncio.sleep(60)

    with running(lambda: opened(neo4j_connection, audit=folder)) as service:
        monkeypatch.setattr(GraphQL, "_execute", slow)
        monkeypatch.setattr("identity_graph.api.endpoint.REQUEST_TIMEOUT", 0.1)
        assert service.post('mutation { deleteSegment(input: {name: "none"}) { __typename } }').status_code == 504
    (entry,) = audit_entries(folder)
    assert (entry["does"], entry["what"], entry["failed"]) == ("change", ["deleteSegment"], None)


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"read"', b'"change"'), *lines[2:]]


HARM: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "changed": (changed, "line 2: it does not follow"),
    "taken out": (lambda lines: [lines[0], *lines[2:]], "line 2: it does not follow"),
    "put in": (lambda lines: [*lines[:2], lines[1], *lines[2:]], "line 3: it does not follow"),
    "in another order": (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1: it does not follow"),
    "cut off": (lambda lines: lines[:3], "has 3 lines, the database knows of 5"),
    "cut within a line": (lambda lines: [*lines[:4], lines[4][:-5]], "line 5: it does not follow"),
    "no JSON": (lambda lines: [*lines[:4], b"x\n"], "line 5: it does not follow"),
}


@pytest.fixture
def log(graph: Graph, folder: Path) -> Path:
    """A file of five lines, of which the database knows."""
    log = AuditLog(folder, graph, now)
    for n in range(5):
        log.tell("ann", "read", ["resolve"], [f"p{n}"])
    log.close()
    assert verify_audit(folder, graph).findings == []
    return folder / log.file


@pytest.mark.parametrize("harm", HARM)
def test_what_is_done_to_the_lines_is_found(graph: Graph, log: Path, harm: str) -> None:
    harmed, finding = HARM[harm]
    log.write_bytes(b"".join(harmed(log.read_bytes().splitlines(keepends=True))))
    (found,) = verify_audit(log.parent, graph).findings
    assert found.startswith(log.name)
    assert finding in found


def test_a_file_that_was_written_anew_with_right_hashes_is_not_the_one_that_the_database_knows(
    graph: Graph, log: Path
) -> None:
    lines = log.read_bytes().splitlines()
    before = blake2b(log.name.encode(), digest_size=16).hexdigest()
    forged: list[bytes] = []
    for line in lines:
        text = orjson.dumps({k: v for k, v in orjson.loads(line).items() if k != "hash"} | {"caller": "bob"})
        before = blake2b(before.encode() + text, digest_size=16).hexdigest()
        forged.append(b'{"hash":"' + before.encode() + b'",' + text[1:] + b"\n")
    log.write_bytes(b"".join(forged))
    assert verify_audit(log.parent, graph).findings == [
        f"{log.name}, line 5: it is not the one that the database knows"
    ]


def test_a_file_that_is_missing_is_found(graph: Graph, log: Path) -> None:
    log.unlink()
    assert verify_audit(log.parent, graph).findings == [f"{log.name} is missing, of which the database knows"]


def test_the_command_line(
    graph: Graph, log: Path, neo4j_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in on(neo4j_connection).items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        done = CliRunner().invoke(cli_audit.audit_app, [*arguments, "--data-dir", str(log.parent.parent)])
        return done.exit_code, [orjson.loads(line) for line in done.stdout.splitlines()]

    assert run("verify", "--json") == (0, [{"files": 2, "lines": 6, "findings": []}])  # itself among them
    assert [line["n"] for line in run("show", "--profile", "p3")[1]] == [4]
    assert len(run("show", "--caller", "ann")[1]) == 5
    assert run("show", "--caller", "bob") == (0, [])
    log.write_bytes(b"")
    assert run("verify", "--json")[0] == 1
