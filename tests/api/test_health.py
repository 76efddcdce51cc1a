"""For whoever runs the service: health, metrics, the page to look around with, and the command itself."""

import json
import re
import signal
import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx2 as httpx
import psutil
import pytest

from identity_graph.api.context import Services
from identity_graph.api.graphiql import page
from identity_graph.neo4j_runtime import Connection
from identity_graph.store import errors as store
from identity_graph.store.graph import Graph

from .live import Service, an_email, command, on, running

#: Seconds: a machine under load takes its time.
PATIENCE = 120
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_ready_service_says_so(service: Service) -> None:
    assert service.http.get("/livez").json() == {"status": "live"}
    assert service.http.get("/readyz").json() == {"status": "ready"}
    assert service.http.head("/readyz").status_code == 200
    assert service.http.post("/readyz").status_code == 405
    lost = service.http.get("/nowhere")
    assert (lost.status_code, lost.json()["code"]) == (404, "NOT_FOUND")


def test_without_its_database_it_lives_but_is_not_ready(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_args: Any, **_kwargs: Any) -> None:
        raise store.Unavailable("the database cannot be reached")

    monkeypatch.setattr(Graph, "read", down)
    assert service.http.get("/livez").status_code == 200
    answer = service.http.get("/readyz")
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (503, "UNAVAILABLE", True)


def test_a_database_that_hangs_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = Event()
    monkeypatch.setattr(Graph, "is_current", lambda _: answered.wait(PATIENCE))
    try:
        answer = service.http.get("/readyz")
    finally:
        answered.set()
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (503, "NOT_READY", True)
    assert "within a second" in answer.json()["message"]


def test_with_a_migration_missing_it_is_not_ready(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "is_current", lambda _: False)
    answer = service.http.get("/readyz")
    assert (answer.status_code, "migrate" in answer.json()["message"]) == (503, True)


def test_it_answers_while_it_starts_and_closes_what_it_opened() -> None:
    """A database may take half a minute to come up; a supervisor must not take that for death."""
    opened: list[str] = []

    @contextmanager
    def refusing() -> Generator[Services]:
        opened.append("tried")
        raise store.Unavailable("the database cannot be reached")
        yield

    with pytest.raises(store.Unavailable), running(refusing):
        pass
    assert opened == ["tried"]


def test_requests_are_counted_by_route_and_status_and_timed(service: Service) -> None:
    def counted() -> dict[str, float]:
        lines = [line for line in service.http.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    service.http.post("/v1/resolve", json={"identifiers": []})
    before = counted()
    service.http.post("/v1/resolve", json={"identifiers": [an_email()]})
    service.http.post("/v1/resolve", json={})
    after = counted()
    risen = {name: after[name] - before.get(name, 0) for name in after if "/v1/resolve" in name}
    assert risen['identity_graph_requests_total{route="/v1/resolve",status="200"}'] == 1
    assert risen['identity_graph_requests_total{route="/v1/resolve",status="400"}'] == 1
    assert risen['identity_graph_request_seconds_count{route="/v1/resolve"}'] == 2
    assert risen['identity_graph_request_seconds_bucket{route="/v1/resolve",le="+Inf"}'] == 2


# --- The page


def test_graphiql_is_one_page_that_may_speak_to_this_service_only(service: Service) -> None:
    answer = service.http.get("/graphql", headers=HTML)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "GraphiQL" in answer.text


def test_graphiql_names_no_address_but_those_of_standards() -> None:
    addresses = set(re.findall(rb"https?://([^/\s\"'`)]+)", page()))
    assert addresses <= {b"www.w3.org"}
    assert re.findall(rb"<(?:script|link|img)[^>]+(?:src|href)=\"(?!data:)", page()) == []


def test_a_browser_that_asks_a_question_gets_its_answer(service: Service) -> None:
    answer = service.http.get("/graphql", params={"query": "{ __typename }"}, headers=HTML)
    assert answer.json() == {"data": {"__typename": "Query"}}


# --- The command


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_when_it_is_ready_and_ends_in_order(empty_database: Connection, ended_by: signal.Signals) -> None:
    with command("serve", "--port", "0", **on(empty_database)) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        address = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", ready)
        assert address, ready
        assert httpx.get(f"{address[1]}/readyz").status_code == 200
        process.send_signal(ended_by)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_serve_leaves_no_process_of_the_embedded_database_behind(tmp_path: Path) -> None:
    port = free_port()
    small = {"IDENTITY_GRAPH_HEAP_MB": "256", "IDENTITY_GRAPH_PAGE_CACHE_MB": "64"}
    with command("serve", "--port", port, "--data-dir", str(tmp_path), **small) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
        state = json.loads((tmp_path / "run" / "state.json").read_text())
        started = [psutil.Process(state[name]) for name in ("java", "supervisor")]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert psutil.wait_procs(started, PATIENCE)[1] == []


def test_serve_says_that_it_is_not_ready_and_ends_in_order_while_it_starts() -> None:
    port = free_port()
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        uri = f"bolt://127.0.0.1:{silent.getsockname()[1]}"
        with command("serve", "--port", port, NEO4J_URI=uri) as process:
            connected, _ = silent.accept()
            stack.callback(connected.close)
            assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
            assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (("--host", "0.0.0.0"), {}, "API keys are needed"),
        (("--host", "no.such.host.invalid"), {"IDENTITY_GRAPH_API_KEYS": f"a:read:{'0' * 64}"}, "cannot listen"),
        ((), {"IDENTITY_GRAPH_API_KEYS": "nonsense"}, "setting api_keys"),
        ((), {"IDENTITY_GRAPH_PORT": "http"}, "setting port"),
        ((), {"NEO4J_URI": "bolt://127.0.0.1:1"}, "the database cannot be reached"),
        ((), {"IDENTITY_GRAPH_RULES": "missing.toml", "NEO4J_URI": "bolt://127.0.0.1:1"}, "missing.toml"),
    ],
)
def test_serve_says_why_it_cannot(
    arguments: tuple[str, ...], environment: dict[str, str], told: str, tmp_path: Path
) -> None:
    if "IDENTITY_GRAPH_PORT" not in environment:
        environment = {"IDENTITY_GRAPH_PORT": "0", **environment}
    with command("serve", "--data-dir", str(tmp_path / "data"), *arguments, **environment) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: ")
    assert told in err
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with command("serve", "--port", port, "--data-dir", str(tmp_path / "data")) as process:
            _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert f"port {port}: Address already in use" in err
    assert not (tmp_path / "data").exists()


def test_migrate_and_keys_speak_json(empty_database: Connection, service: Service) -> None:
    with command("migrate", "--json", **on(empty_database)) as process:
        out, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (0, '{"applied": []}\n')
    with command("keys", "new", "shop", "--scope", "write", "--json") as process:
        out, _ = process.communicate(timeout=PATIENCE)
        assert re.fullmatch(r'\{"key": "ig_[\w-]{43}", "setting": "shop:write:[0-9a-f]{64}"\}\n', out)
    with command("keys", "new", "shop", "--scope", "everything") as process:
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 2


def test_doctor_takes_the_service_itself_for_no_stranger_on_its_port(service: Service, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    with command("doctor", "--json", "--data-dir", str(tmp_path), IDENTITY_GRAPH_PORT=port) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    (finding,) = [found for found in json.loads(out)["findings"] if found["name"] == "port"]
    assert (finding["ok"], "the service runs" in finding["detail"]) == (True, True)
