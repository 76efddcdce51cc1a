"""Eight writers on few identifiers, and the graph is what one writer would have made of it."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Barrier

import neo4j
import pytest
from sending import Batch, persist, said, send_from_processes
from stored import empty, observable, problems, read

from identity_graph.domain.decision import Accepted
from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import NamespaceRule, Policy, Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.declined import Declined
from identity_graph.services.observe import Answer
from identity_graph.services.stewardship import Observations, Stewards
from identity_graph.services.submit import now
from identity_graph.services.verify import verify
from identity_graph.store.errors import Conflict
from identity_graph.store.graph import Graph

WRITERS = 8
JUNK = "null"
NAMESPACES = {
    "user": NamespaceRule(unique=True, priority=1, fan_out=None),
    "mail": NamespaceRule(limit=3, priority=2, fan_out=4),
    "phone": NamespaceRule(priority=3, fan_out=3),
    "device": NamespaceRule(priority=4, fan_out=2),
}


def rules_of(policy: Policy) -> Rules:
    return Rules(policy, size_cap=8, namespaces=NAMESPACES)


def crowd(identifiers: int, observations: int, rules: Rules, seed: int) -> list[Observation]:
    """Observations of a few of these identifiers, now and then with junk, a record, or the traits of one."""
    chance = random.Random(seed)
    keys = [f"{namespace}:{n}" for namespace in NAMESPACES for n in range(1, identifiers // len(NAMESPACES) + 1)]
    found: list[Observation] = []
    for n in range(observations):
        named = chance.sample(keys, chance.choice([1, 2, 2, 3]))
        named += [f"device:{JUNK}"] * (chance.random() < 0.05)
        more: dict[str, object] = {"observedAt": f"2026-01-01T00:00:0{chance.randrange(10)}Z"}
        if chance.random() < 0.2:
            more |= {"traits": {"n": n}} | ({"recordId": f"r{chance.randrange(5)}"} if chance.random() < 0.5 else {})
        found.append(said(f"{seed}/{n}", *named, rules=rules, source=chance.choice(["web", "crm"]), **more))
    return found


def shares(observations: Sequence[Observation], seed: int) -> list[list[Batch]]:
    """Batches for each writer. Every observation is sent by two of them, and some batches are sent again."""
    chance = random.Random(seed)
    work: list[list[Batch]] = []
    for writer in range(WRITERS):
        mine = [o for n, o in enumerate(observations) if writer in (n % WRITERS, (n * 3 + 1) % WRITERS)]
        chance.shuffle(mine)
        batches: list[Batch] = []
        while mine:
            size = chance.randrange(1, 8)
            batches.append(mine[:size])
            del mine[:size]
            if chance.random() < 0.1:
                batches.append(chance.choice(batches))
        work.append(batches)
    return work


@pytest.mark.parametrize("parted", [False, True])
@pytest.mark.parametrize(("identifiers", "policy"), [(24, Policy.LATEST_OWNER), (200, Policy.FIRST_OWNER)])
def test_many_writers_leave_the_graph_that_one_would(
    graph: Graph,
    driver: neo4j.Driver,
    neo4j_connection: Connection,
    identifiers: int,
    policy: Policy,
    parted: bool,
    random_seed: int,
) -> None:
    rules = rules_of(policy)
    sent = crowd(identifiers, 400, rules, random_seed)
    answers = send_from_processes(neo4j_connection, rules, shares(sent, random_seed), parted=parted)
    found = problems(read(driver), sent, rules, {JUNK}, by_definition=identifiers < 100)
    assert not found, "\n".join(found)
    wrong = contradictions(answers, lost=parted)
    assert not wrong, "\n".join(wrong)
    assert {answer.observation_id for answer in answers} == {o.id for o in sent}


@pytest.fixture
def random_seed() -> int:
    """New on every run, and in the report of a failure as an argument of the test."""
    return random.SystemRandom().randrange(10**6)


def contradictions(answers: Sequence[Answer], *, lost: bool = False) -> list[str]:
    """Whoever sends an observation gets the one answer to it, and one of them learns that it was new.

    Nobody may learn it where answers are ``lost``: a part that was taken is told to nobody when another part failed.
    """
    of: dict[str | None, list[Answer]] = defaultdict(list)
    for answer in answers:
        of[answer.observation_id].append(answer)
    found: list[str] = []
    for id, given in of.items():
        plain = {replace(answer, duplicate=False) for answer in given if isinstance(answer, Accepted)}
        news = [answer for answer in given if isinstance(answer, Accepted) and not answer.duplicate]
        if (
            len(plain) != 1
            or len(news) not in ({0, 1} if lost else {1})
            or not all(isinstance(answer, Accepted) for answer in given)
        ):
            found.append(f"the answers to {id} are {given}")
    return found


def test_people_take_back_what_others_are_just_writing(graph: Graph, driver: neo4j.Driver, random_seed: int) -> None:
    """Merges are undone, observations retracted and identifiers kept apart while three writers go on."""
    rules = rules_of(Policy.LATEST_OWNER)
    sent = crowd(24, 240, rules, random_seed)
    work = shares(sent, random_seed)[:]
    stewards = Stewards(graph, rules, now)

    def write(batches: list[Batch]) -> None:
        for batch in batches:
            persist(graph, batch, rules)

    def meddle(seed: int) -> int:
        chance, done = random.Random(seed), 0
        while not all(writer.done() for writer in writing):
            with driver.session() as session:
                merges = session.run("MATCH (c:Change) WHERE c.kind IN ['MERGED', 'MOVED'] RETURN c.id").value()
                taken = session.run("MATCH (o:Observation) WHERE o.retracted IS NULL RETURN o.id").value()
            with suppress(Declined, Conflict):
                match chance.randrange(3):
                    case 0 if merges:
                        stewards.undo(chance.choice(merges), None, "ann", "because")
                    case 1 if taken:
                        stewards.retract(Observations(ids=(chance.choice(taken),)), 1, "ann", "because")
                    case _:
                        one, other = (f"{chance.choice(list(NAMESPACES))}:{chance.randrange(1, 7)}" for _ in "ab")
                        stewards.set_cannot_link(one, other, None, "ann", "because")
                done += 1
        return done

    with ThreadPoolExecutor(5) as pool:
        writing = [pool.submit(write, [b for share in work[n::3] for b in share]) for n in range(3)]
        meddling = [pool.submit(meddle, random_seed + n) for n in range(2)]
        for writer in writing:
            writer.result()
        assert sum(steward.result() for steward in meddling) > 5
    stored = read(driver)
    stands = [o for o in sent if o.id not in stored.retracted]
    found = problems(stored, stands, rules, {JUNK}, by_definition=False)
    assert not found, "\n".join(found)


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each gives back, or why it was declined; all begin at the same moment."""
    gate = Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        gate.wait()
        try:
            return work()
        except Declined as e:
            return e.code

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_of_two_who_take_back_the_same_one_hears_that_it_is_done(graph: Graph, driver: neo4j.Driver) -> None:
    """Two would bring an observation back twice, and count it twice."""
    rules = Rules()
    stewards = Stewards(graph, rules, now)
    event = {"type": "order_completed", "properties": {"total": "10.00"}}
    told = [said("o1", "user_id:ada", "cookie_id:c", event=event), said("o2", "user_id:ada", "cookie_id:c")]
    persist(graph, told, rules)
    before = read(driver)

    def retract() -> str:
        done = stewards.retract(Observations(ids=("o1",)), 1, "ann", "because")[0].done
        return next(c.id for c in done.changes if c.kind == "RETRACTED")

    for _ in range(12):
        answers = at_once(retract, retract)
        assert "ALREADY_RETRACTED" in answers
        change = next(str(answer) for answer in answers if answer != "ALREADY_RETRACTED")
        undo = partial(stewards.undo, change, None, "ann", "because")
        assert at_once(undo, undo).count("ALREADY_UNDONE") == 1
        after = read(driver)
        assert (after.links, observable(after)) == (before.links, observable(before))
        assert verify(graph, rules).findings == {}


def test_of_two_who_keep_the_same_two_apart_one_hears_that_they_are(graph: Graph) -> None:
    rules = Rules()
    stewards = Stewards(graph, rules, now)
    persist(graph, [said("o1", "user_id:ada", "cookie_id:c")], rules)
    for _ in range(6):
        apart = partial(stewards.set_cannot_link, "user_id:ada", "cookie_id:c", None, "ann", "because")
        assert at_once(apart, apart).count("ALREADY_APART") == 1
        stewards.remove_cannot_link("user_id:ada", "cookie_id:c", None, "ann", "because")


def test_an_observation_that_is_just_made_anew_can_be_retracted(graph: Graph, driver: neo4j.Driver) -> None:
    """Who waits for an observation while it is brought back holds a node that is no more."""
    rules = Rules()
    persist(graph, [said("o1", "user_id:ada", "cookie_id:c")], rules)
    retract = partial(Stewards(graph, rules, now).retract, Observations(ids=("o1",)), 1, "ann", "because")
    with ThreadPoolExecutor(1) as pool, driver.session() as session:
        with session.begin_transaction() as tx:
            held = tx.run("MATCH (o:Observation {id: 'o1'}) WITH o, properties(o) AS p DELETE o RETURN p").single(True)
            tx.run("CREATE (o:Observation) SET o = $p", held.data())
            retracting = pool.submit(retract)
            time.sleep(1)
            assert not retracting.done()
            tx.commit()
        assert retracting.result()[0].observations == 1
    assert read(driver).retracted == {"o1"}


def test_without_the_lock_the_same_load_leaves_a_wrong_graph(
    graph: Graph, driver: neo4j.Driver, neo4j_connection: Connection, random_seed: int
) -> None:
    """What the lock and the check after it are for. A few rounds, as the harm is a matter of chance."""
    rules = rules_of(Policy.LATEST_OWNER)
    for attempt in range(10):
        empty(driver)
        sent = crowd(24, 400, rules, random_seed + attempt)
        send_from_processes(neo4j_connection, rules, shares(sent, random_seed), naive=True)
        stored = read(driver)
        taken = [o for o in sent if o.id in stored.observations]
        if problems(stored, taken, rules, {JUNK}, by_definition=False):
            return
    pytest.fail("ten rounds without the lock, and nothing went wrong")


def test_a_commit_that_is_just_being_applied_misleads_nobody(graph: Graph, driver: neo4j.Driver) -> None:
    """The server shows a commit's properties before its relationships: who reads then sees half of a merge.

    A large batch merges pairs of profiles; while it commits, others add to the profiles that lose their ids.
    """
    rules, pairs, took = Rules(), 250, 1.0
    for attempt in range(4):
        empty(driver)
        people = [
            said(f"{side}{n}", f"email:{side}{n}@x.org", f"cookie_id:{side}{n}") for side in "ab" for n in range(pairs)
        ]
        persist(graph, people, rules)
        merging = [said(f"m{n}", f"cookie_id:a{n}", f"cookie_id:b{n}") for n in range(pairs)]
        adding = [said(f"x{n}", f"email:b{n}@x.org", f"device_id:x{n}") for n in range(attempt, pairs, 6)]

        def add(o: Observation, wait: float = took) -> None:
            time.sleep(random.uniform(0.6, 1.05) * wait)
            persist(graph, [o], rules)

        with ThreadPoolExecutor(len(adding)) as pool:
            added = [pool.submit(add, o) for o in adding]
            start = time.monotonic()
            persist(graph, merging, rules)
            took = time.monotonic() - start
            for one in added:
                one.result()
        found = problems(read(driver), [*people, *merging, *adding], rules, set(), by_definition=False)
        assert not found, "\n".join(found)


def test_one_observation_sent_by_all_at_once_is_taken_once(graph: Graph, driver: neo4j.Driver) -> None:
    rules = Rules()
    sent = [said(f"o{n}", "user_id:ada", f"cookie_id:c{n}", observedAt="2026-01-01T00:00:00Z") for n in range(5)]
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = [a for found in pool.map(lambda _: persist(graph, sent, rules), range(WRITERS)) for a in found]
    wrong = contradictions(answers)
    assert not wrong, "\n".join(wrong)
    assert problems(read(driver), sent, rules, set()) == []


def test_two_contents_under_one_id_sent_at_once_are_one_taken_and_one_conflict(graph: Graph) -> None:
    rules = Rules()
    for n in range(10):
        two = [said(f"o{n}", "user_id:ada", f"cookie_id:{name}-{n}") for name in ("one", "other")]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda o: persist(graph, [o], rules)[0], two))
        codes = sorted("taken" if isinstance(a, Accepted) else a.code for a in answers)
        assert codes == ["ID_REUSED", "taken"]
