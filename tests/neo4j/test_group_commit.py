"""Concurrent requests share transactions, and each gets its own answers."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import neo4j
import pytest
from sending import people, said
from stored import problems, read

from identity_graph.domain.decision import Accepted
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import Rejection
from identity_graph.domain.rules import Rules
from identity_graph.services.observe import Answer
from identity_graph.services.submit import Overloaded, Submitter, write_batch
from identity_graph.store.errors import Conflict, StoreError, Unavailable
from identity_graph.store.graph import Graph

T = TypeVar("T")
RULES = Rules()


class Gate:
    """A graph whose writes wait until the gate is opened, are counted, and fail where told to."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.writes = 0
        self.errors: list[Exception] = []

    def write(self, work: Callable[..., T], **options: Any) -> tuple[T, str]:
        self.entered.set()
        self.opened.wait()
        self.writes += 1
        if self.errors:
            raise self.errors.pop(0)
        return self._graph.write(work, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)


@pytest.fixture
def gate(graph: Graph) -> Gate:
    return Gate(graph)


def run(story: Coroutine[Any, Any, None]) -> None:
    """A story that would wait for ever fails."""
    asyncio.run(asyncio.wait_for(story, 240))


async def under_way(gate: Gate, submitter: Submitter, first: Sequence[Observation]) -> asyncio.Task[Any]:
    """A request that is being written, and waits at the gate."""
    task = asyncio.create_task(submitter.submit(first))
    while not gate.entered.is_set():
        await asyncio.sleep(0.001)
    return task


async def waiting(
    submitter: Submitter, requests: Sequence[Sequence[Observation | Rejection]]
) -> list[asyncio.Task[Any]]:
    """Requests that arrived while another is being written."""
    tasks = [asyncio.create_task(submitter.submit(items)) for items in requests]
    await asyncio.sleep(0)
    return tasks


def ids(answers: Sequence[Answer]) -> list[str | None]:
    return [answer.observation_id for answer in answers]


def unstorable(o: Observation) -> Observation:
    """An observation that the database refuses: a property cannot be a map."""
    return replace(o, digest={"not": "a text"})  # pyright: ignore[reportArgumentType]


def test_what_arrives_while_one_transaction_is_under_way_is_the_next_one(gate: Gate, driver: neo4j.Driver) -> None:
    sent = people(80)

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            tasks = [await under_way(gate, submitter, sent[:2])]
            tasks += await waiting(submitter, [sent[n : n + 2] for n in range(2, 80, 2)])
            gate.opened.set()
            results = await asyncio.gather(*tasks)
        assert gate.writes == 2
        assert [ids(answers) for answers, _ in results] == [ids_of(sent[n : n + 2]) for n in range(0, 80, 2)]
        tokens = [token for _, token in results]
        assert "" not in tokens
        assert len(set(tokens)) == 2

    run(story())
    assert problems(read(driver), sent, RULES, set(), by_definition=False) == []


def ids_of(sent: Sequence[Observation | Rejection]) -> list[str | None]:
    return [o.id if isinstance(o, Observation) else o.observation_id for o in sent]


def test_answers_come_in_the_order_of_the_request_rejections_in_their_places(gate: Gate) -> None:
    gate.opened.set()
    no = Rejection("no", "INVALID_IDENTIFIER", "no such thing", ("identifiers", 0))
    one, other = said("one", "user_id:ada"), said("other", "user_id:bob")

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            answers, token = await submitter.submit([no, other, one, no, replace(one)])
            assert ids(answers) == ["no", "other", "one", "no", "one"]
            assert [getattr(a, "duplicate", None) for a in answers] == [None, False, False, None, True]
            assert token
            assert await submitter.submit([no, no]) == ([no, no], "")
            assert await submitter.submit([]) == ([], "")
        assert gate.writes == 1

    run(story())


def test_a_dry_run_writes_nothing(gate: Gate, driver: neo4j.Driver) -> None:
    gate.opened.set()
    before = read(driver)

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            answers, token = await submitter.submit(people(6), dry_run=True)
        assert ids(answers) == ids_of(people(6))
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert token == ""

    run(story())
    assert read(driver) == before


def test_what_the_database_refuses_fails_alone(gate: Gate, driver: neo4j.Driver) -> None:
    sent = people(40)
    bad = sent[17].id

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            tasks = [await under_way(gate, submitter, sent[:2])]
            requests = [[unstorable(o) if o.id == bad else o for o in sent[n : n + 2]] for n in range(2, 40, 2)]
            tasks += await waiting(submitter, requests)
            gate.opened.set()
            results = await asyncio.gather(*tasks)
        given = [answer for answers, _ in results for answer in answers]
        assert ids(given) == ids_of(sent)
        assert [a.observation_id for a in given if isinstance(a, Rejection)] == [bad]
        assert [a.code for a in given if isinstance(a, Rejection)] == ["NOT_STORABLE"]
        assert not any(a.duplicate for a in given if isinstance(a, Accepted))
        assert "" not in [token for _, token in results]

    run(story())
    assert problems(read(driver), [o for o in sent if o.id != bad], RULES, set(), by_definition=False) == []


@pytest.mark.parametrize("size", [10, 500])
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_refused_observation_takes_nothing_from_its_batch(
    graph: Graph, driver: neo4j.Driver, size: int, place: str
) -> None:
    """In one transaction and in two, with a token for what was written, and nobody told that it was sent twice."""
    sent = people(size)
    at = 0 if place == "first" else size - 1
    answers, token = write_batch(graph, [unstorable(o) if n == at else o for n, o in enumerate(sent)], RULES)
    assert ids(answers) == ids_of(sent)
    assert [n for n, a in enumerate(answers) if isinstance(a, Rejection)] == [at]
    assert [a.observation_id for a in answers if isinstance(a, Accepted) and a.duplicate] == []
    assert token
    del sent[at]
    assert problems(read(driver), sent, RULES, set(), by_definition=False) == []


def test_a_caller_that_goes_away_does_not_stop_its_write(gate: Gate, driver: neo4j.Driver) -> None:
    sent = people(6)

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            writing = await under_way(gate, submitter, sent[:2])
            (queued, other) = await waiting(submitter, [sent[2:4], sent[4:]])
            for gone in (writing, queued):
                gone.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await gone
            gate.opened.set()
            answers, _ = await other
            assert ids(answers) == ids_of(sent[4:])

    run(story())
    assert problems(read(driver), sent, RULES, set()) == []


def test_closing_writes_what_waits(gate: Gate, driver: neo4j.Driver) -> None:
    sent = people(1500)

    async def story() -> None:
        submitter = Submitter(gate, RULES)
        tasks = [await under_way(gate, submitter, sent[:2])]
        # The second of these does not fit beside the first into one transaction.
        tasks += await waiting(submitter, [sent[2:700], sent[700:1400], sent[1400:]])
        closed = asyncio.create_task(asyncio.to_thread(submitter.close))
        await asyncio.sleep(0.05)
        assert not closed.done()
        gate.opened.set()
        await closed
        results = await asyncio.gather(*tasks)
        assert [answer for answers, _ in results for answer in ids(answers)] == ids_of(sent)

    run(story())
    assert problems(read(driver), sent, RULES, set(), by_definition=False) == []


@pytest.mark.parametrize("error", [Unavailable("gone"), Conflict("again and again"), RuntimeError("a defect")])
def test_an_error_reaches_every_caller_and_the_next_request_is_written(gate: Gate, error: Exception) -> None:
    sent = people(8)

    async def story() -> None:
        with closing(Submitter(gate, RULES)) as submitter:
            first = await under_way(gate, submitter, sent[:2])
            rest = await waiting(submitter, [sent[2:4], sent[4:6]])
            gate.errors = [error, error]
            gate.opened.set()
            for task in (first, *rest):
                with pytest.raises(type(error), match=str(error)):
                    await task
            answers, _ = await submitter.submit(sent)
            assert [a.duplicate for a in answers if isinstance(a, Accepted)] == [False] * 8

    run(story())


def test_more_than_may_wait_is_refused_until_there_is_room(gate: Gate, driver: neo4j.Driver) -> None:
    sent = people(10)

    async def story() -> None:
        with closing(Submitter(gate, RULES, waiting=6)) as submitter:
            first = await under_way(gate, submitter, sent[:2])
            (second,) = await waiting(submitter, [sent[2:6]])
            with pytest.raises(Overloaded):
                await submitter.submit(sent[6:8])
            gate.opened.set()
            await asyncio.gather(first, second)
            await submitter.submit(sent[6:8])
            with pytest.raises(Overloaded):
                await submitter.submit([*sent, *sent])

    run(story())
    assert problems(read(driver), sent[:8], RULES, set()) == []


def test_a_store_error_says_whether_trying_again_may_help() -> None:
    kinds = {kind for kind in StoreError.__subclasses__() if kind.retryable}
    assert {kind.__name__ for kind in kinds} == {"Unavailable", "TimedOut", "Conflict", "OutcomeUnknown"}
