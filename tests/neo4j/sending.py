"""Ways to send observations to a real database: by hand, many at a time, and by several processes at once."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import Any, TypeVar

from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import Rejection, parse_observation
from identity_graph.domain.rules import Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import observe, submit
from identity_graph.services.observe import Answer
from identity_graph.services.submit import now, write_batch
from identity_graph.store.errors import StoreError
from identity_graph.store.graph import Graph, Transaction

T = TypeVar("T")
Batch = Sequence[Observation]


def said(id: str, *keys: str, rules: Rules | None = None, **more: object) -> Observation:
    """An observation of identifiers written `namespace:value`; ``more`` as the contract names it."""
    named = [dict(zip(("namespace", "value"), key.split(":", 1), strict=True)) for key in keys]
    raw = {"id": id, "source": "web", "identifiers": named, **more}
    taken = parse_observation(raw, rules or Rules(), now())
    assert not isinstance(taken, Rejection), taken
    return taken


def people(count: int, name: str = "p") -> list[Observation]:
    """Two observations a person: a row of a shop, and a visit by one of their devices."""
    return [o for n in range(count // 2) for o in _person(f"{name}{n}", n)]


def _person(name: str, number: int) -> tuple[Observation, Observation]:
    mail, cookie = f"email:{name}@example.com", f"cookie_id:{name}-c"
    row = said(name, mail, cookie, recordId=name, traits={"number": number})
    return row, said(f"{name}/visit", cookie, f"device_id:{name}-d")


class PatientGraph(Graph):
    """A loaded machine is slow without being wrong, so no write is cut off after seconds."""

    def write(self, work: Callable[[Transaction], T], **options: Any) -> tuple[T, str]:
        return super().write(work, **options | {"timeout": 300.0})


# --- Several writers


def send_from_processes(
    connection: Connection,
    rules: Rules,
    work: Sequence[Sequence[Batch]],
    *,
    parted: bool = False,
    naive: bool = False,
) -> list[Answer]:
    """Each item of ``work`` is a writer with a graph of its own; all answers, in any order. Two processes share them.

    ``parted`` writes each batch in parts, two transactions at once, as it is done with large ones. ``naive`` leaves out
    the one step that this protocol has and a plain read-then-write has not: the lock on what was read, with the checks
    that it is still so. What then fails is left unsent.
    """
    processes = 2
    shares = [work[n::processes] for n in range(processes)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        sent = [pool.submit(_process, connection, rules, share, parted, naive) for share in shares]
        return list(chain.from_iterable(answers.result() for answers in sent))


def _process(
    connection: Connection, rules: Rules, work: Sequence[Sequence[Batch]], parted: bool, naive: bool
) -> list[Answer]:
    submit.WORTH_PARTING = 2 if parted else 10**9
    observe.WORTH_A_PART = 1
    if naive:
        observe._Taking._lock = lambda self, profiles, keys: None  # pyright: ignore[reportPrivateUsage]
        observe._Taking._whole = lambda self, component: None  # pyright: ignore[reportPrivateUsage]
    with ThreadPoolExecutor(len(work)) as pool:
        writers = [pool.submit(_writer, connection, rules, batches, naive) for batches in work]
        return list(chain.from_iterable(writer.result() for writer in writers))


def _writer(connection: Connection, rules: Rules, batches: Sequence[Batch], naive: bool) -> list[Answer]:
    answers: list[Answer] = []
    with closing(Graph.connect(connection)) as graph:
        for batch in batches:
            try:
                answers += persist(graph, batch, rules)
            except Exception:
                if not naive:
                    raise
    return answers


def persist(graph: Graph, batch: Batch, rules: Rules) -> list[Answer]:
    """Send a batch as a client does: again as long as the error says that this may help."""
    while True:
        try:
            return write_batch(graph, batch, rules)[0]
        except StoreError as e:
            if not e.retryable:
                raise
