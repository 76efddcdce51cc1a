"""Writers that meet, one step at a time, and what is kept of an identifier."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from typing import Any

import neo4j
import pytest
from sending import people, said
from stored import problems, read

from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import NamespaceRule, Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import observe, stewardship
from identity_graph.services.declined import Declined
from identity_graph.services.stewardship import Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.store.errors import Conflict, Refused, StaleRead, TimedOut
from identity_graph.store.graph import WRITE_TIMEOUT, Graph, Transaction

JUNK = "null"


@contextmanager
def written_but_not_committed(graph: Graph, batch: Sequence[Observation], rules: Rules) -> Generator[None]:
    """Another writer that has done all of its work; it commits when the block ends."""
    done, commit = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        observe.observe(tx, batch, rules, now)
        done.set()
        commit.wait()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(graph.write, work)
        try:
            assert done.wait(120)
            yield
        finally:
            commit.set()
            writing.result()


def behind(driver: neo4j.Driver, write: Callable[..., Any], *of: Any) -> Callable[[], Any]:
    """Start to write something, and come back when it waits for a lock of somebody else."""
    pool = ThreadPoolExecutor(1)
    writing = pool.submit(write, *of)
    while not writing.done() and not waits_for_a_lock(driver):
        time.sleep(0.02)
    pool.shutdown(wait=False)
    return writing.result


def waits_for_a_lock(driver: neo4j.Driver) -> bool:
    found = driver.execute_query(
        "SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked' RETURN count(*) AS n"
    )
    return found.records[0]["n"] > 0


@pytest.mark.parametrize("naive", [False, True], ids=["protocol", "naive"])
def test_who_read_before_a_merge_does_not_write_into_what_it_left(
    graph: Graph, driver: neo4j.Driver, naive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock and the second look the new identifier lands in the profile that is no more."""
    rules = Rules()
    sent = [said("one", "email:a@x.org", "cookie_id:a"), said("two", "email:b@x.org", "cookie_id:b")]
    merging, adding = said("merge", "cookie_id:a", "cookie_id:b"), said("add", "email:b@x.org", "device_id:b")
    for o in sent:
        write_batch(graph, [o], rules)
    if naive:
        monkeypatch.setattr(observe._Taking, "_lock", lambda *_: None)
    with written_but_not_committed(graph, [merging], rules):
        result = behind(driver, write_batch, graph, [adding], rules)
    result()
    found = problems(read(driver), [*sent, merging, adding], rules, {JUNK})
    if naive:
        assert any("MERGED" in problem for problem in found), found
    else:
        assert found == []


#: A mail of one of two people is shared.
SHARING = Rules(
    namespaces={
        "user": NamespaceRule(unique=True, priority=1, fan_out=None),
        "mail": NamespaceRule(priority=2, fan_out=1),
    }
)


def test_what_no_profile_guards_is_counted_right_by_two_at_once(graph: Graph, driver: neo4j.Driver) -> None:
    """Shared identifiers and junk are locked by nobody beforehand, and every writer touches them."""
    sent = [
        said(f"{mail}{user}", f"mail:{mail}", f"user:{mail}{user}", rules=SHARING, observedAt="2026-01-01T00:00:03Z")
        for mail in "ab"
        for user in range(2)
    ]
    write_batch(graph, sent, SHARING)
    newer, older = (
        said(
            f"at{second}",
            "mail:a",
            "mail:b",
            f"user:{JUNK}",
            rules=SHARING,
            source=source,
            traits={"second": second},
            observedAt=f"2026-01-01T00:00:0{second}Z",
        )
        for second, source in ((9, "web"), (1, "web"))
    )
    other = said("other", "mail:a", "mail:b", f"user:{JUNK}", rules=SHARING, source="crm")
    first = said("first", "mail:a", "mail:b", f"user:{JUNK}", rules=SHARING, traits={"second": 5})
    write_batch(graph, [first], SHARING)
    with written_but_not_committed(graph, [newer], SHARING):
        result = behind(driver, write_batch, graph, [older, other], SHARING)
    result()
    assert problems(read(driver), [*sent, first, newer, older, other], SHARING, {JUNK}) == []


def test_devices_are_marked_and_values_kept_as_submitted(graph: Graph, driver: neo4j.Driver) -> None:
    sent = [*people(4), said("raw", "email: Ada.Lovelace@Example.COM ", "user_id:Ωmega 'quoted' \\ ${x}")]
    write_batch(graph, sent, Rules())
    stored = read(driver)
    assert {key.partition(":")[0] for key, i in stored.identifiers.items() if i["device"]} == {"cookie_id", "device_id"}
    assert stored.identifiers["email:ada.lovelace@example.com"]["raw"] == " Ada.Lovelace@Example.COM "
    assert "user_id:Ωmega 'quoted' \\ ${x}" in stored.identifiers


def test_a_read_with_a_token_sees_the_write_that_gave_it(graph: Graph) -> None:
    _, token = write_batch(graph, people(2), Rules())
    ((found,),) = graph.read("lookup/now", token, keys=["email:p0@example.com"])
    assert [state for _, state, _ in found] == ["ACTIVE"]


def test_an_identifier_that_is_forgotten_under_an_act_is_named(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules()
    write_batch(graph, [said("one", "email:a@x.org", "cookie_id:a"), said("two", "user_id:b")], rules)
    stewards = Stewards(graph, rules, now)
    meanwhile = [lambda: stewards.retract(Observations(ids=("two",)), 1, "ann", "because")]

    def late(*of: Any, **more: Any) -> observe.Written | None:
        if meanwhile:
            meanwhile.pop()()
        return observe.state(*of, **more)

    monkeypatch.setattr(stewardship, "state", late)
    with pytest.raises(Declined) as told:
        stewards.set_cannot_link("email:a@x.org", "user_id:b", None, "bob", "two people")
    assert told.value.code == "UNKNOWN_IDENTIFIER"


ANN = ("ann", "because")
A, B, COOKIE = "email:a@x.org", "email:b@x.org", "cookie_id:a"


def id_of(graph: Graph, key: str) -> str:
    return graph.read("lookup/now", keys=[key])[0][0][0][2]


def undoing(stewards: Stewards, done: stewardship.Done) -> Callable[[int], Any]:
    return lambda expected: stewards.undo(done.changes[0].id, expected, *ANN)


def merging(graph: Graph, stewards: Stewards) -> Callable[[int], Any]:
    ids = [id_of(graph, A), id_of(graph, B)]
    return lambda expected: stewards.merge(ids, expected, *ANN)


def splitting(graph: Graph, stewards: Stewards) -> Callable[[int], Any]:
    return lambda expected: stewards.split(id_of(graph, A), [COOKIE], expected, *ANN)


def keeping_apart(_: Graph, stewards: Stewards) -> Callable[[int], Any]:
    return lambda expected: stewards.set_cannot_link(A, B, expected, *ANN)


def letting_meet(_: Graph, stewards: Stewards) -> Callable[[int], Any]:
    stewards.set_cannot_link(A, B, None, *ANN)
    return lambda expected: stewards.remove_cannot_link(A, B, expected, *ANN)


def undoing_a_merge(graph: Graph, stewards: Stewards) -> Callable[[int], Any]:
    return undoing(stewards, stewards.merge([id_of(graph, A), id_of(graph, B)], None, *ANN)[0])


def undoing_a_cannot_link(_: Graph, stewards: Stewards) -> Callable[[int], Any]:
    return undoing(stewards, stewards.set_cannot_link(A, B, None, *ANN)[0])


def undoing_a_retraction(graph: Graph, stewards: Stewards) -> Callable[[int], Any]:
    write_batch(graph, [said("wrong", A, "device_id:a")], Rules())
    return undoing(stewards, stewards.retract(Observations(ids=("wrong",)), 1, *ANN)[0].done)


@pytest.mark.parametrize(
    "act",
    [
        merging,
        splitting,
        keeping_apart,
        letting_meet,
        undoing_a_merge,
        undoing_a_cannot_link,
        undoing_a_retraction,
    ],
)
def test_an_act_on_a_version_is_declined_where_a_writer_is_faster(
    graph: Graph, driver: neo4j.Driver, act: Callable[[Graph, Stewards], Callable[[int], Any]]
) -> None:
    """The writer has not committed when the version is asked for, and has when it is acted on."""
    rules = Rules()
    for o in (said("one", A, COOKIE), said("two", B)):
        write_batch(graph, [o], rules)
    do = act(graph, Stewards(graph, rules, now))
    version = graph.read("profile/state", ids=[id_of(graph, A)])[0][0][0][3]
    with written_but_not_committed(graph, [said("late", A, "device_id:late")], rules):
        result = behind(driver, do, version)
    before = read(driver)
    with pytest.raises(Declined) as told:
        result()
    assert (told.value.code, read(driver)) == ("CONFLICT", before)
    with pytest.raises(Declined, match=f"version {version + 1} by now"):
        do(version)
    do(version + 1)


@pytest.mark.parametrize(("patience", "times"), [(0.0, 1), (60.0, 2)])
def test_only_a_command_tries_a_write_again_that_took_too_long(
    neo4j_connection: Connection, graph: Graph, patience: float, times: int
) -> None:
    """A database that has just started takes its first write slowly, and its second as ever."""
    begun: list[float] = []

    def work(tx: Transaction) -> None:
        begun.append(time.monotonic())
        while len(begun) == 1:
            tx.run("ingest/totals")

    outcome = nullcontext() if patience else pytest.raises(TimedOut)
    with closing(Graph.connect(neo4j_connection, patience=patience)) as asking, outcome:
        asking.write(work, timeout=0.5)
    assert len(begun) == times


def test_all_tries_of_a_write_together_take_no_longer_than_it_may(
    neo4j_connection: Connection, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try gets what is left, so a write that others are in the way of has ended before its request is given up."""
    clock, given = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    def unit_of_work(timeout: float) -> Any:
        given.append(clock[0] + timeout)
        return neo4j.unit_of_work(timeout=timeout)

    def work(tx: Transaction) -> None:
        clock[0] += 3
        raise StaleRead("somebody was faster")

    monkeypatch.setattr("identity_graph.store.graph.monotonic", lambda: clock[0])
    monkeypatch.setattr("identity_graph.store.graph.sleep", sleep)
    monkeypatch.setattr("identity_graph.store.graph.unit_of_work", unit_of_work)
    with closing(Graph.connect(neo4j_connection)) as asking, pytest.raises(Conflict):
        asking.write(work)
    assert given == pytest.approx([WRITE_TIMEOUT] * 3)


def test_a_write_of_several_transactions_has_one_time(
    neo4j_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is taken again, by halves, does not begin a time of its own."""
    until: list[float] = []

    def refused(self: Graph, work: Any, **options: Any) -> Any:
        until.append(options["until"])
        raise Refused("a value") if len(until) == 1 else Conflict("somebody was faster")

    monkeypatch.setattr(Graph, "write", refused)
    batch = [said("one", "email:a@x.org"), said("two", "email:b@x.org")]
    with closing(Graph.connect(neo4j_connection)) as asking, pytest.raises(Conflict):
        write_batch(asking, batch, Rules())
    assert until == [until[0]] * 2
