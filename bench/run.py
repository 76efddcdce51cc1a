"""What the benchmarks of one run share: sizes, streams, the large graph, its service, the naive design's figures."""

from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

from bench import naive, product
from bench.harness import Latency, machine, percentiles
from bench.product import Outcome, Service
from bench.streams import OBSERVATIONS_AN_IDENTIFIER, observations, write_jsonl
from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection

#: Requests under way at once, where a row of the table does not say how many.
CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths in identifiers, observations, people, segments or records; the seconds that each load over HTTP takes,
    and that it is under way before; how often that is done which can only be done once to the same people; how many
    observations of a source are taken back."""

    identifiers: int
    profiles: int
    segments: int
    records: int
    matched: int
    cold: int
    warm: int
    batched: int
    fed: int
    seconds: float
    warming: float
    acts: int
    retracted: int


FULL = Sizes(
    identifiers=1_000_000,
    profiles=300_000,
    segments=100,
    records=100_000,
    matched=10_000,
    cold=200_000,
    warm=120_000,
    batched=60_000,
    fed=1_000_000,
    seconds=10,
    warming=40,
    acts=30,
    retracted=5_000,
)
QUICK = Sizes(
    identifiers=70_000,
    profiles=2_000,
    segments=20,
    records=2_000,
    matched=200,
    cold=4_000,
    warm=2_000,
    batched=3_000,
    fed=8_000,
    seconds=1,
    warming=0.2,
    acts=3,
    retracted=1_000,
)


def sizes(*, quick: bool, identifiers: int | None, profiles: int | None) -> Sizes:
    chosen = QUICK if quick else FULL
    return replace(chosen, identifiers=identifiers or chosen.identifiers, profiles=profiles or chosen.profiles)


@dataclass(frozen=True, slots=True)
class Large:
    """A graph that was filled by one `ingest` into nothing, and files whose observations follow on those."""

    data_dir: Path
    rows: int
    loaded: Outcome
    warming: Path
    warm: Path


class Run:
    """One run. What is expensive is made when it is first asked for, and ends with the block."""

    def __init__(self, folder: Path, out: Path, chosen: Sizes, say: Callable[[str], None]) -> None:
        """`folder` is for data that go with the run, `out` for its results; `say` tells what is under way."""
        self.folder, self.out, self.sizes, self.say = folder, out, chosen, say
        self._stack = ExitStack()
        self._naive: naive.Baseline | None = None
        #: What a reader must know to compare; tells of the graph that was measured last.
        self.facts = machine()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def streams(self, seed: int, **lengths: int) -> list[Path]:
        """One stream, cut into files of so many observations: each goes on with the people of the one before."""
        stream = observations(n_observations=sum(lengths.values()), seed=seed)
        paths = [self.folder / f"{name}-{seed}.jsonl" for name in lengths]
        for path, length in zip(paths, lengths.values(), strict=True):
            write_jsonl(path, islice(stream, length))
        return paths

    @cached_property
    def large(self) -> Large:
        """The graph of `sizes.identifiers`. The database of an empty one is embedded, so it may be bulk-imported."""
        rows = int(self.sizes.identifiers * OBSERVATIONS_AN_IDENTIFIER)
        self.say(f"writing {rows:,} observations of about {self.sizes.identifiers:,} identifiers")
        first, warming, warm = self.streams(LARGE_SEED, first=rows, warming=self.sizes.warm, warm=self.sizes.warm)
        data_dir = self.folder / "large"
        self.say("loading them into an empty graph")
        return Large(data_dir, rows, product.ingest(first, rows, data_dir), warming, warm)

    @property
    def service(self) -> Service:
        """`serve` on the large graph, once the database is warm."""
        service = self._on_the_large_one
        self._tell_of(service, f"{self.sizes.identifiers:,} identifiers after the first load")
        return service

    @cached_property
    def _on_the_large_one(self) -> Service:
        large = self.large
        self.say("starting the service on it, and warming the database up")
        service = self._stack.enter_context(product.serving(large.data_dir))
        product.ingest(large.warming, self.sizes.warm, large.data_dir)
        return service

    @contextmanager
    def serving(self, data_dir: Path, holds: str) -> Generator[Service]:
        """`serve` on another graph, which `holds` something."""
        with product.serving(data_dir) as service:
            self._tell_of(service, holds)
            yield service

    def times(self, service: Service, requests: Iterable[bytes], accept: Callable[[int, bytes], bool]) -> Latency:
        """How long one client waits, warm: Java compiles what the database does often, and besides requests has done
        so after half a minute only."""
        service.load(requests, seconds=self.sizes.warming, accept=accept)
        return percentiles(service.load(requests, seconds=self.sizes.seconds, accept=accept).latencies)

    def _tell_of(self, service: Service, holds: str) -> None:
        server = neo4j_runtime.status(service.data_dir)
        database = (
            f"Neo4j {server.version}, {server.heap_mb} MB heap, {server.page_cache_mb} MB page cache, "
            "on the same processors"
        )
        self.facts = self.facts | {"database": database, "graph": holds}

    def naive_at(self, connection: Connection) -> naive.Baseline:
        """The naive design's figures, measured once a run, on a database that is warm."""
        if self._naive is None:
            self.say("measuring the naive design")
            self._naive = naive.measure(connection, self.sizes.seconds / 2)
        return self._naive

    @cached_property
    def naive(self) -> naive.Baseline:
        with product.joined(self.service.data_dir) as connection:
            return self.naive_at(connection)


#: Streams of different seeds share no people.
LARGE_SEED, SMALL_SEED, SUBMIT_SEED, MEMORY_SEED, EVENTS_SEED, PROFILES_SEED, LINEAGE_SEED = 1, 2, 3, 4, 5, 6, 7
