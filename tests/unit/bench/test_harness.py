"""The benchmarks' instruments read true."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from bench.harness import (
    Figure,
    Memory,
    http_load,
    line_chart,
    machine,
    no_graphql_errors,
    percentiles,
    post,
    table,
    write_results,
)


def test_percentiles_are_nearest_rank() -> None:
    found = percentiles([n / 1000 for n in range(100, 0, -1)])
    assert (found.p50, found.p95, found.p99, found.max) == (50, 95, 99, 100)
    assert percentiles([0.002]).p99 == 2
    with pytest.raises(ValueError, match="at least one sample"):
        percentiles([])


class Service(BaseHTTPRequestHandler):
    """Answers with its input; `/slow` after 20 ms, `/error` as GraphQL does, `/break` by hanging up in the middle."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/break":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
            return
        if self.path == "/silent":
            time.sleep(1)
        if self.path == "/slow":
            time.sleep(0.02)
        if self.path == "/error":
            body = b'{"errors": []}'
        self.send_response(200 if json.loads(body) != "bad" else 400)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        for at in range(0, len(body), 70_000):
            self.wfile.write(body[at : at + 70_000])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Generator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_load_sends_every_request_once(port: int) -> None:
    requests = [post("/", {"n": n}, key="secret") for n in range(300)]
    seen: list[int] = []

    def accept(status: int, body: bytes) -> bool:
        seen.append(json.loads(body)["n"])
        return status == 200

    load = http_load("127.0.0.1", port, requests, clients=7, accept=accept)
    assert sorted(seen) == list(range(300))
    assert (len(load.latencies), load.statuses, load.failed) == (300, {200: 300}, 0)
    assert load.rate == pytest.approx(300 / load.seconds)


def test_load_reads_answers_in_pieces(port: int) -> None:
    large = "x" * 1_000_000
    load = http_load("127.0.0.1", port, [post("/", large)] * 3, accept=lambda _, body: len(body) == len(large) + 2)
    assert (load.failed, len(load.latencies)) == (0, 3)


def test_load_measures_the_service(port: int) -> None:
    load = http_load("127.0.0.1", port, [post("/slow", 1)] * 4, clients=2)
    assert percentiles(load.latencies).p50 >= 20


def test_load_ends_in_time(port: int) -> None:
    load = http_load("127.0.0.1", port, repeat(post("/", 1)), clients=3, seconds=0.2)
    assert load.failed == 0
    assert load.seconds >= 0.2
    assert len(load.latencies) > 3


def test_load_counts_what_went_wrong(port: int) -> None:
    requests = [post("/", 1), post("/", "bad"), post("/", 2)]
    load = http_load("127.0.0.1", port, requests)
    assert (load.failed, load.statuses) == (1, {200: 2, 400: 1})
    assert load.first_failure == 'status 400: "bad"'
    assert http_load("127.0.0.1", port, [post("/error", 1)], accept=no_graphql_errors).failed == 1
    broken = http_load("127.0.0.1", port, [post("/break", 1)] * 5, clients=2)
    assert (broken.failed, broken.latencies) == (2, [])
    assert "the connection broke" in broken.first_failure


def test_load_does_not_wait_for_ever(port: int) -> None:
    with pytest.raises(TimeoutError, match="no answer from"):
        http_load("127.0.0.1", port, [post("/silent", 1)], patience=0.1)


def test_load_says_that_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
    with pytest.raises(ConnectionError):
        http_load("127.0.0.1", unused, [post("/", 1)])


HOLD = "import sys; held = bytearray(60_000_000); print('held', flush=True); sys.stdin.read()"
NEST = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"


def test_memory_counts_the_whole_tree() -> None:
    with subprocess.Popen([sys.executable, "-c", NEST], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with Memory(process.pid, every=0.01) as memory:
            time.sleep(0.05)
        with Memory(process.pid, leave_out=psutil.Process(process.pid).name()) as without:
            pass
        process.communicate()
    assert memory.peak > 65
    assert len(memory.samples) >= 3
    assert without.peak == 0


def test_memory_of_a_process_that_ends() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process, Memory(process.pid, every=0.01) as memory:
        process.communicate(b"\n")
        time.sleep(0.05)
    assert memory.samples


FIGURES = [
    Figure("ingest", 5200, "observations/s", at_least=5000, baseline=520),
    Figure("one client, p99", 41.5, "ms", at_most=30, baseline=83),
    Figure("store", 0.76, "GB"),
]


def test_a_figure_knows_whether_it_holds() -> None:
    assert [figure.holds for figure in FIGURES] == [True, False, True]
    assert [figure.times_better for figure in FIGURES] == [10, 2, None]


def test_the_table_shows_bounds_and_verdicts() -> None:
    rows = table(FIGURES, {"processor": "two"}).splitlines()
    assert rows[2:5] == [
        "| ingest | 5,200 observations/s | ≥ 5,000 | yes | 520 | 10.0× |",
        "| one client, p99 | 41.5 ms | ≤ 30 | **no** | 83 | 2.0× |",
        "| store | 0.76 GB |  |  |  |  |",
    ]
    assert rows[-1] == "- processor: two"


def test_results_are_a_table_numbers_and_a_chart(tmp_path: Path) -> None:
    facts = machine()
    assert os.uname().nodename not in str(facts)
    assert write_results(tmp_path / "results", "speed", FIGURES, facts) is False
    assert write_results(tmp_path / "results", "size", FIGURES[2:], facts) is True
    written = {path.name: path.read_bytes() for path in (tmp_path / "results").iterdir()}
    assert sorted(written) == ["size.json", "size.md", "speed.json", "speed.md", "speed.svg"]
    assert [figure["holds"] for figure in json.loads(written["speed.json"])["figures"]] == [True, False, True]
    assert written["speed.md"].decode() == table(FIGURES, facts)
    texts = "".join(ElementTree.fromstring(written["speed.svg"]).itertext())
    assert "ingest" in texts
    assert "10.0×" in texts
    assert "store" not in texts
    write_results(tmp_path / "results", "speed", FIGURES, facts)
    assert (tmp_path / "results" / "speed.svg").read_bytes() == written["speed.svg"]


def test_lines_are_drawn(tmp_path: Path) -> None:
    line_chart(
        tmp_path / "memory.svg", "Memory", "s", "MB", {"service": [(0, 90), (1, 91)], "naive": [(0, 50), (1, 80)]}
    )
    texts = "".join(ElementTree.parse(tmp_path / "memory.svg").getroot().itertext())
    assert {"Memory", "service", "naive"} <= set(texts.split())
