"""What people decide and take back, on the real database: random histories, and the laws of undo."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import neo4j
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from properties.worlds import JUNK, RULES, SAID, Said, observed
from stored import Stored, empty, problems, read
from test_stateful import BATCH, Program

from identity_graph.domain.decision import VERDICTS, Accepted
from identity_graph.domain.rules import Rules
from identity_graph.services.lookup import Freshness, Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.stewardship import Declined, Done, Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph

Do = Callable[[bool], Done]
"""An act, as a dry run or in earnest."""
WHO = ("ann", "because")
#: A history takes seconds, and to make it smaller minutes: it is shown as it was found.
FOUND = (Phase.explicit, Phase.reuse, Phase.generate)
ANY = st.integers(0, 99)


ACTS = st.one_of(
    st.tuples(st.just("merge"), ANY, ANY),
    st.tuples(st.just("split"), ANY, st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("keep_apart"), ANY, ANY),
    st.tuples(st.just("let_meet"), ANY),
    st.tuples(st.just("retract"), st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("retract"), st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("undo"), ANY),
    st.tuples(st.just("undo"), ANY),
)
STEPS = st.one_of(BATCH, st.tuples(ACTS, st.booleans()), st.tuples(ACTS, st.booleans()))


class History(Program):
    """Observations and acts in any order; after each step the graph is what was said, and every id leads home.

    What was true after each step is kept, and asked for again at the end.
    """

    executor: ClassVar[ThreadPoolExecutor]

    def play(self, rules: Rules, steps: list[Any]) -> None:
        self.start(rules)
        self.snapshots: list[tuple[int, dict[str, str], dict[str, str]]] = []
        self.stewards = Stewards(self.graph, rules, now)
        for step in steps:
            if isinstance(step, list):
                self.submit(step, False)
            else:
                (name, *arguments), back = step
                do = getattr(self, name)(*arguments)
                if do:
                    self.act(do, back)
            self.snapshots.append((now(), self.stored.home, leads(self.stored)))
        assert verify(self.graph, rules).findings == {}
        self.look_back()

    def merge(self, one: int, other: int) -> Do | None:
        ids = sorted(self.stored.profiles)
        if not ids:
            return None
        a, b = ids[one % len(ids)], ids[other % len(ids)]
        return lambda dry: self.stewards.merge([a, b], None, *WHO, dry_run=dry)[0]

    def split(self, one: int, some: set[int]) -> Do | None:
        ids = sorted(id for id, keys in self.stored.active.items() if len(keys) > 1)
        if not ids:
            return None
        id = ids[one % len(ids)]
        members = sorted(self.stored.active[id])
        keys = {members[n % len(members)] for n in some}
        return lambda dry: self.stewards.split(id, keys, None, *WHO, dry_run=dry)[0]

    def keep_apart(self, one: int, other: int) -> Do | None:
        keys = sorted(self.stored.identifiers)
        if not keys:
            return None
        a, b = keys[one % len(keys)], keys[other % len(keys)]
        return lambda dry: self.stewards.set_cannot_link(a, b, None, *WHO, dry_run=dry)[0]

    def let_meet(self, one: int) -> Do | None:
        words = [w for _, w in sorted(self.stored.words.items()) if "lifted_at" not in w]
        if not words:
            return None
        word = words[one % len(words)]
        a, b = min(word["one"]), min(word["other"])
        return lambda dry: self.stewards.remove_cannot_link(a, b, None, *WHO, dry_run=dry)[0]

    def undo(self, one: int) -> Do | None:
        changes = sorted(id for id, c in self.stored.changes.items() if c["kind"] not in VERDICTS)
        if not changes:
            return None
        change = changes[one % len(changes)]
        return lambda dry: self.stewards.undo(change, None, *WHO, dry_run=dry)[0]

    def retract(self, some: set[int]) -> Do | None:
        known = sorted(self.stored.observations)
        if not known:
            return None
        ids = tuple(sorted({known[n % len(known)] for n in some}))
        return lambda dry: self.stewards.retract(Observations(ids), 10, *WHO, dry_run=dry)[0].done

    def act(self, do: Do, back: bool) -> None:
        """Try it, do it, and perhaps take it back: a trial writes nothing, and what is taken back was never."""
        before = self.stored
        foretold = attempt(do, True)
        assert read(self.driver) == before, "a dry run wrote something"
        done = attempt(do, False)
        if isinstance(done, str):
            assert done == foretold
            assert read(self.driver) == before, "what was declined wrote something"
            return
        assert isinstance(foretold, Done)
        assert sorted(c.kind for c in foretold.changes) == sorted(c.kind for c in done.changes)
        self.settle()
        p = self.stored.profiles[done.profile.id]
        assert (p["size"], p["version"]) == (done.profile.size, done.profile.version)
        new = {id for id, c in self.stored.changes.items() if c["kind"] not in VERDICTS}
        assert {c.id for c in done.changes} == new - before.changes.keys()
        if back and done.changes:
            self.stewards.undo(done.changes[-1].id, None, *WHO)
            self.settle()
            assert self.stored.home == before.home, [(c.kind, c.participants) for c in done.changes]
            assert {id for id, p in self.stored.profiles.items() if p["status"] == "ACTIVE"} == before.active.keys()

    def settle(self) -> None:
        self.stored = read(self.driver)
        found = problems(self.stored, self.standing(), self.rules, {JUNK})
        assert not found, "\n".join(found)
        assert leads(self.stored) == self.led()

    def led(self) -> dict[str, str]:
        (found,) = self.graph.read("profile/state", ids=list(self.stored.profiles))[0]
        return {row[0]: row[1] for row in found}

    def _expect_old_ids_to_lead_home(self, before: Stored, after: Stored) -> None:
        assert leads(after) == self.led()

    def look_back(self) -> None:
        profiles = Profiles(self.graph, self.rules, Lookup(self.graph, self.rules, self.executor), self.executor)

        async def led_then(ids: list[str], at: int) -> dict[str, str]:
            states = await asyncio.gather(*(profiles.state(id, Freshness(as_of=at)) for id in ids))
            return {id: state.id for id, state in zip(ids, states, strict=True) if state}

        ever = sorted({key for _, home, _ in self.snapshots for key in home} | self.stored.identifiers.keys())
        for at, home, led in self.snapshots:
            rows = self.graph.read("lookup/as_of", keys=ever, at=at)[0][0]
            assert {key: id for key, state, id in rows if state != "BLOCKED"} == home
            assert asyncio.run(led_then(list(self.stored.profiles), at)) == led


def attempt(do: Do, dry_run: bool) -> Done | str:
    """What was done, or the code of why it was not."""
    try:
        return do(dry_run)
    except Declined as e:
        return str(e.code)


def leads(stored: Stored) -> dict[str, str]:
    """Where each id leads by its lineage: on from the last merge that ended it, until a profile is alive."""
    ended: dict[str, tuple[int, str, str]] = {}
    for id, c in stored.changes.items():
        if c["kind"] == "MERGED":
            (loser,) = [p for p, role in c["roles"] if role == "MERGED"]
            (survivor,) = [p for p, role in c["roles"] if role == "SURVIVOR"]
            ended[loser] = max(ended.get(loser, (0, "", "")), (c["at"], id, survivor))

    def home(id: str) -> str:
        return home(ended[id][2]) if stored.profiles[id]["status"] == "MERGED" else id

    return {id: home(id) for id in stored.profiles}


@pytest.fixture(scope="module")
def history(migrated: Graph, driver: neo4j.Driver) -> Generator[History]:
    with ThreadPoolExecutor(2) as executor:
        History.graph, History.driver, History.executor = migrated, driver, executor
        yield History()


@settings(max_examples=max(1, settings().max_examples // 10), phases=FOUND)
@given(rules=RULES, steps=st.lists(STEPS, min_size=15, max_size=15))
def test_random_histories_hold_and_are_remembered(history: History, rules: Rules, steps: list[Any]) -> None:
    history.play(rules, steps)


@settings(max_examples=max(1, settings().max_examples // 25), phases=FOUND)
@given(rules=RULES, steps=st.lists(STEPS, min_size=60, max_size=60))
def test_a_history_of_sixty_steps_is_remembered(history: History, rules: Rules, steps: list[Any]) -> None:
    history.play(rules, steps)


@settings(max_examples=max(1, settings().max_examples // 5), phases=FOUND)
@given(RULES, SAID, ANY, ANY)
def test_an_undone_merge_is_as_if_it_had_not_been(
    history: History, rules: Rules, said: list[Said], one: int, other: int
) -> None:
    """The same evidence arriving again is held back, and says so; undoing the undo brings the merge back."""
    graph, driver, stewards = history.graph, history.driver, Stewards(history.graph, rules, now)
    empty(driver)
    taken = observed(said, rules)
    write_batch(graph, taken, rules)
    before = read(driver)
    keys = sorted(before.home)
    if not keys:
        return
    a, b = keys[one % len(keys)], keys[other % len(keys)]
    bridge = observed([([tuple(a.split(":")), tuple(b.split(":"))], 9, "web")], rules, "bridge")
    ((answer,), _) = write_batch(graph, bridge, rules)
    assert isinstance(answer, Accepted)
    if [change.kind for change in answer.changes] != ["MERGED"]:
        return
    merged = read(driver)
    undone, _ = stewards.undo(answer.changes[0].id, None, *WHO)
    after = read(driver)
    assert after.home == before.home
    assert after.refused == before.refused | {id: r for id, r in after.refused.items() if id not in before.links}
    again = observed([([tuple(a.split(":")), tuple(b.split(":"))], 9, "web")], rules, "again")
    ((held,), _) = write_batch(graph, again, rules)
    assert isinstance(held, Accepted)
    assert ([link.refusal.code for link in held.refused], held.changes) == (["CANNOT_LINK"], ())
    assert read(driver).home == before.home
    with pytest.raises(Declined) as twice:
        stewards.undo(answer.changes[0].id, None, *WHO)
    assert twice.value.code == "ALREADY_UNDONE"
    stewards.undo(undone.changes[0].id, None, *WHO)
    assert read(driver).home == merged.home
    assert problems(read(driver), [*taken, *bridge, *again], rules, {JUNK}) == []
