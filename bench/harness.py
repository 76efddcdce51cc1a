"""What every benchmark needs: load over HTTP, latencies, memory, and results as a table and charts."""

import asyncio
import math
import platform
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from types import TracebackType
from typing import Self, cast

import matplotlib as mpl
import orjson
import psutil
import uvloop
from matplotlib.figure import Figure as Drawing

# ------------------------------------------------------------------------------------------------ latency


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


def percentiles(seconds: Sequence[float]) -> Latency:
    """Nearest-rank percentiles: the p-th is the smallest sample that at least p % of the samples do not exceed.

    Raises ValueError without samples.
    """
    if not seconds:
        raise ValueError("percentiles need at least one sample")
    ordered = sorted(seconds)

    def rank(percent: int) -> float:
        return round(1000 * ordered[math.ceil(percent / 100 * len(ordered)) - 1], 3)

    return Latency(rank(50), rank(95), rank(99), rank(100))


# ------------------------------------------------------------------------------------------------ HTTP load


@dataclass(slots=True)
class Load:
    """What came of a load: `failed` counts answers that were not accepted and connections that broke."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list[float])
    statuses: Counter[int] = field(default_factory=Counter[int])
    failed: int = 0
    first_failure: str = ""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def fail(self, reason: str) -> None:
        self.failed += 1
        self.first_failure = self.first_failure or reason


def post(path: str, body: object, key: str | None = None) -> bytes:
    """An HTTP/1.1 request with a JSON body, ready to send; `key` is an API key."""
    content = orjson.dumps(body)
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def no_graphql_errors(status: int, body: bytes) -> bool:
    """Accept a 200 whose answer holds no `errors`."""
    return status == 200 and b'"errors"' not in body


def is_ok(status: int, _body: bytes) -> bool:
    """Accept any 200."""
    return status == 200


def http_load(
    host: str,
    port: int,
    requests: Iterable[bytes],
    *,
    clients: int = 1,
    seconds: float | None = None,
    accept: Callable[[int, bytes], bool] = is_ok,
    patience: float = 60,
) -> Load:
    """Send `requests` over `clients` kept-alive connections, each with one request under way at a time.

    Ends when `requests` runs out or, with `seconds`, when that time is over. `requests` is drawn from lazily, so it
    may be endless; make its bytes cheaply, as this shares the processor with what is measured.
    Raises TimeoutError if no answer comes for `patience` seconds, ConnectionError if nobody listens.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_load(host, port, iter(requests), clients, seconds, accept, patience))


async def _load(
    host: str,
    port: int,
    requests: Iterator[bytes],
    clients: int,
    seconds: float | None,
    accept: Callable[[int, bytes], bool],
    patience: float,
) -> Load:
    loop = asyncio.get_running_loop()
    load = Load()
    deadline = monotonic() + seconds if seconds is not None else math.inf

    def following() -> bytes | None:
        return next(requests, None) if monotonic() < deadline else None

    connections: list[_Connection] = []
    try:
        for _ in range(clients):
            connection = _Connection(load, following, accept, loop.create_future())
            await loop.create_connection(lambda connection=connection: connection, host, port)
            connections.append(connection)
        begun = perf_counter()
        for connection in connections:
            connection.send()
        answered, waiting = -1, [connection.closed for connection in connections]
        while waiting:
            if answered == len(load.latencies):
                raise TimeoutError(f"no answer from {host}:{port} for {patience:g} s")
            answered = len(load.latencies)
            _, still = await asyncio.wait(waiting, timeout=patience)
            waiting = list(still)
        load.seconds = perf_counter() - begun
    finally:
        for connection in connections:
            connection.end()
        await asyncio.gather(*(connection.closed for connection in connections))
    return load


class _Connection(asyncio.Protocol):
    """One client. Answers are read by hand: a full HTTP client costs as much as the service that is measured."""

    _length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")

    def __init__(
        self,
        load: Load,
        following: Callable[[], bytes | None],
        accept: Callable[[int, bytes], bool],
        closed: asyncio.Future[None],
    ) -> None:
        self.closed = closed
        self._load = load
        self._following = following
        self._accept = accept
        self._buffer = b""
        self._sent = 0.0
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self) -> None:
        request = self._following()
        if request is None:
            self.end()
        else:
            self._sent = perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = self._length.search(self._buffer, 0, end)
        if length is None:
            self._load.fail("an answer without Content-Length, which this client cannot read")
            self.end()
            return
        if len(self._buffer) < end + 4 + int(length[1]):
            return
        self._load.latencies.append(perf_counter() - self._sent)
        status, body = int(self._buffer[9:12]), self._buffer[end + 4 :]
        self._buffer = b""
        self._load.statuses[status] += 1
        if not self._accept(status, body):
            self._load.fail(f"status {status}: {body[:300].decode(errors='replace')}")
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended:
            self._load.fail(f"the connection broke: {exc or 'closed by the server'}")
        self.closed.set_result(None)

    def end(self) -> None:
        """Hang up; an answer under way is not waited for."""
        self._ended = True
        self._transport.abort()


# ------------------------------------------------------------------------------------------------ memory


class Memory:
    """Samples the resident memory of a process and all below it, within a `with` block.

    `leave_out` is a process name, such as `java`: processes of that name do not count. `samples` holds
    (seconds since the start, MB).
    """

    def __init__(self, pid: int, *, leave_out: str = "", every: float = 0.25) -> None:
        self.samples: list[tuple[float, float]] = []
        self._process = psutil.Process(pid)
        self._leave_out = leave_out
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def peak(self) -> float:
        """The most MB seen."""
        return max(mb for _, mb in self.samples)

    def __enter__(self) -> Self:
        self._begun = monotonic()
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stop.wait(self._every):
            self._sample()

    def _sample(self) -> None:
        try:
            tree = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = sum(self._resident(process) for process in tree)
        self.samples.append((monotonic() - self._begun, total / 1e6))

    def _resident(self, process: psutil.Process) -> int:
        try:
            return 0 if process.name() == self._leave_out else process.memory_info().rss
        except psutil.NoSuchProcess:
            return 0


# ------------------------------------------------------------------------------------------------ results


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    `at_least` or `at_most` is what it must reach; `baseline` is the same quantity of the naive design, measured in
    the same run.
    """

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    baseline: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    @property
    def times_better(self) -> float | None:
        """How many times better than the baseline: more, where it must be at least something; else less."""
        if self.baseline is None:
            return None
        return self.value / self.baseline if self.at_most is None else self.baseline / self.value


def machine() -> dict[str, str]:
    """What a reader must know to compare: processors, memory, versions. No host name."""
    model = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if platform.system() == "Linux" else None
    )
    return {
        "processor": f"{psutil.cpu_count()} x {model[1] if model else platform.machine()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write_results(folder: Path, name: str, figures: Sequence[Figure], facts: Mapping[str, str]) -> bool:
    """Write NAME.md, NAME.json and, where any figure has a baseline, NAME.svg. True if all figures hold."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(table(figures, facts), encoding="utf-8")
    plain = {"facts": dict(facts), "figures": [asdict(figure) | {"holds": figure.holds} for figure in figures]}
    (folder / f"{name}.json").write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if any(figure.baseline is not None for figure in figures):
        _save(_comparison(figures), folder / f"{name}.svg")
    return all(figure.holds for figure in figures)


def table(figures: Sequence[Figure], facts: Mapping[str, str]) -> str:
    """The figures as a Markdown table, the facts below it."""
    lines = ["| what | measured | must | | naive design | times better |", "| --- | ---: | ---: | --- | ---: | ---: |"]
    for figure in figures:
        bounds = [("≥", figure.at_least), ("≤", figure.at_most)]
        must = " ".join(f"{sign} {number(bound)}" for sign, bound in bounds if bound is not None)
        verdict = ("yes" if figure.holds else "**no**") if must else ""
        better = figure.times_better
        naive = number(figure.baseline) if figure.baseline is not None else ""
        times = f"{better:.1f}×" if better is not None else ""
        lines.append(
            f"| {figure.name} | {number(figure.value)} {figure.unit} | {must} | {verdict} | {naive} | {times} |"
        )
    return "\n".join([*lines, "", *(f"- {fact}: {text}" for fact, text in facts.items())]) + "\n"


def number(value: float) -> str:
    """Three digits that matter: 12,345, 123, 1.23."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line_chart(path: Path, title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Lines over a common axis, as SVG; `series` maps a label to its (x, y) points."""
    drawing = Drawing(figsize=(8, 4), layout="constrained")
    axes = drawing.add_subplot(title=title, xlabel=x, ylabel=y)
    for label, points in series.items():
        axes.plot([point[0] for point in points], [point[1] for point in points], label=label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(drawing, path)


def _comparison(figures: Sequence[Figure]) -> Drawing:
    """A bar a figure that has a baseline: how many times better it is, on a logarithmic axis from 1."""
    ratios = [(figure.name, ratio) for figure in figures if (ratio := figure.times_better) is not None]
    drawing = Drawing(figsize=(8, 1.2 + 0.45 * len(ratios)), layout="constrained")
    axes = drawing.add_subplot(xscale="log", xlabel="times better than the naive design (1 = equal)")
    bars = axes.barh([name for name, _ in ratios], [ratio - 1 for _, ratio in ratios], left=1, color="#2a6f97")
    axes.bar_label(bars, labels=[f"{ratio:.1f}×" for _, ratio in ratios], padding=3)
    axes.axvline(1, color="#444", linewidth=1)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    return drawing


def _save(drawing: Drawing, path: Path) -> None:
    """As SVG with text kept as text and without a date, so that equal results give equal files."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "identity-graph"}):
        drawing.savefig(path, format="svg", metadata={"Date": None})
