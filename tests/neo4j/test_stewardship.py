"""What people decide and take back, on the real database: random histories, and the laws of undo."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import neo4j
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from properties.worlds import JUNK, RULES, SAID, Said, observed
from sending import said
from stored import Stored, empty, observable, problems, read
from test_stateful import BATCH, Program

from identity_graph.domain.decision import VERDICTS, Accepted
from identity_graph.domain.evidence import Observation
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.rules import Rules
from identity_graph.domain.survivorship import AGGREGATE
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import NOW, Found, Freshness, Lookup
from identity_graph.services.observe import observe
from identity_graph.services.overrides import Override
from identity_graph.services.profiles import MAX_PAGE, Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Act, Done, Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph, Transaction

Do = Callable[[bool], Done]
"""An act, as a dry run or in earnest."""
Seen = dict[str, Any]
"""What readers see, by identifiers' keys and profiles' ids."""
WHO = ("ann", "because")
#: A history takes seconds, and to make it smaller minutes: it is shown as it was found.
FOUND = (Phase.explicit, Phase.reuse, Phase.generate)
ANY = st.integers(0, 99)


ACTS = st.one_of(
    st.tuples(st.just("merge"), ANY, ANY),
    st.tuples(st.just("confirm"), ANY, ANY),
    st.tuples(st.just("split"), ANY, st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("keep_apart"), ANY, ANY),
    st.tuples(st.just("let_meet"), ANY),
    st.tuples(st.just("retract"), st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("retract"), st.sets(ANY, min_size=1, max_size=3)),
    st.tuples(st.just("override"), ANY, st.sampled_from(["n", "m"]), st.sampled_from([None, 1, 3, "x"])),
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
        self.snapshots: list[tuple[int, dict[str, str], dict[str, str], Seen]] = []
        self.known: set[str] = set()
        lookup = Lookup(self.graph, rules, self.executor)
        self.profiles = Profiles(self.graph, rules, lookup, self.executor), lookup
        self.stewards = Stewards(self.graph, rules, now)
        segments = Segments(self.graph, rules, now)
        segments.define("ones", "", {"trait": {"name": "n", "atLeast": 1}}, "ann")
        segments.define("buyers", "", {"trait": {"name": "lifetime_value", "atLeast": 0.05}}, "ann")
        self.stored = read(self.driver)
        for step in steps:
            if isinstance(step, list):
                self.submit(step, False)
            else:
                (name, *arguments), back = step
                do = getattr(self, name)(*arguments)
                if do:
                    self.act(do, back)
            self.known |= self.stored.identifiers.keys()
            seen = self.look(NOW)
            self.snapshots.append((now(), self.stored.home, leads(self.stored), seen))
        assert verify(self.graph, rules).findings == {}
        self.look_back()

    def merge(self, one: int, other: int) -> Do | None:
        ids = sorted(self.stored.profiles)
        if not ids:
            return None
        a, b = ids[one % len(ids)], ids[other % len(ids)]
        return lambda dry: self.stewards.merge([a, b], None, *WHO, dry_run=dry)[0]

    def confirm(self, one: int, other: int) -> Do | None:
        """Say of two identifiers that they are one person's, as whoever decides a proposal does: often they are."""
        keys = sorted(self.stored.home)
        if not keys:
            return None
        a = keys[one % len(keys)]
        others = sorted(self.stored.active[self.stored.home[a]] - {a}) or keys
        b = others[other % len(others)]

        def work(tx: Transaction) -> Done:
            return Done(None, tuple(Act(tx, self.rules, now, *WHO).join([(a, b)]).plan.changes), ())

        return None if a == b else lambda dry: self.graph.write(work, dry_run=dry)[0]

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

    def override(self, one: int, trait: str, value: Any) -> Do | None:
        ids = sorted(self.stored.profiles)
        if not ids:
            return None
        said = Override(trait, value)
        return lambda dry: self.stewards.override(ids[one % len(ids)], said, None, *WHO, dry_run=dry)[0]

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
        if done.profile:
            p = self.stored.profiles[done.profile.id]
            assert (p["size"], p["version"]) == (done.profile.size, done.profile.version)
        new = {id for id, c in self.stored.changes.items() if c["kind"] not in VERDICTS}
        assert {c.id for c in done.changes} == new - before.changes.keys()
        if back and done.changes:
            then = self.stored
            undone, _ = self.stewards.undo(done.changes[-1].id, None, *WHO)
            self.settle()
            assert observable(self.stored) == observable(before), [(c.kind, c.participants) for c in done.changes]
            assert {id for id, p in self.stored.profiles.items() if p["status"] == "ACTIVE"} == before.active.keys()
            redone, _ = self.stewards.undo(undone.changes[-1].id, None, *WHO)
            self.settle()
            assert observable(self.stored) == observable(then), [(c.kind, c.participants) for c in undone.changes]
            self.stewards.undo(redone.changes[-1].id, None, *WHO)
            self.settle()
            assert observable(self.stored) == observable(before), [(c.kind, c.participants) for c in redone.changes]

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

    def look(self, fresh: Freshness) -> Seen:
        """What readers see of every identifier and profile that ever was; but for aggregates, which are of now."""
        profiles, lookup = self.profiles
        keys, ids = sorted(self.known), sorted(self.stored.profiles)

        async def person(id: str) -> tuple[Any, ...] | None:
            state, members, records, golden, segments = await asyncio.gather(
                profiles.state(id, fresh),
                profiles.members(id, MAX_PAGE, fresh=fresh),
                profiles.records(id, MAX_PAGE, fresh=fresh),
                profiles.golden_record(id, fresh),
                profiles.segments(id, fresh),
            )
            if state is None:
                return None
            plain = [replace(m, sources=sorted(m.sources)) for m in members.items]
            said = [trait for trait in golden if trait.rule != AGGREGATE]
            return replace(state, version=0), plain, members.total, records, said, segments

        async def everything() -> Seen:
            found = await lookup.resolve([split_key(key) for key in keys], fresh)
            people = await asyncio.gather(*map(person, ids))
            return dict(zip(keys, found, strict=True)) | dict(zip(ids, people, strict=True))

        return asyncio.run(everything())

    def look_back(self) -> None:
        for at, home, led, seen in self.snapshots:
            then = self.look(Freshness(as_of=at))
            assert {name: then[name] for name in seen} == {name: forgotten(seen[name], then[name]) for name in seen}
            later = [then[name] for name in then.keys() - seen.keys()]
            assert not any(one.profile if isinstance(one, Found) else one for one in later)
            rows = self.graph.read("lookup/as_of", keys=sorted(self.stored.identifiers.keys() | home), at=at)[0][0]
            assert {key: id for key, _, _, id in rows if id} == home
            assert {id: one[0].id for id, one in then.items() if isinstance(one, tuple)} == led


def forgotten(seen: Any, then: Any) -> Any:
    """What was seen of somebody, without when identifiers were last seen that is not kept as of then."""
    if not isinstance(seen, tuple) or not isinstance(then, tuple):
        return seen
    state, members, *more = seen
    not_kept = {m.key for m in then[1] if m.last_seen is None}
    return (state, [replace(m, last_seen=None) if m.key in not_kept else m for m in members], *more)


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


@settings(max_examples=max(1, settings().max_examples // 10), phases=FOUND)
@given(RULES, st.permutations(range(4)), st.permutations(range(4)), st.lists(ACTS, min_size=4, max_size=4))
def test_independent_changes_are_undone_in_any_order(
    history: History, rules: Rules, done_in: list[int], undone_in: list[int], acts: list[tuple[Any, ...]]
) -> None:
    """Four groups of people, and an act in each: undone in any order, everything is as before any of them."""
    graph, driver = history.graph, history.driver
    history.start(rules)
    groups: list[list[Observation]] = []
    for n in range(4):
        one, two = ("cookie", f"{n}a"), ("cookie", f"{n}b")
        said = [
            ([one], 1, "web"),
            ([one, ("cookie", f"{n}c")], 2, "web"),
            ([two], 3, "crm"),
            ([two, ("cookie", f"{n}d")], 4, "web"),
        ]
        groups.append(observed(said, rules, f"group{n}-"))
        write_batch(graph, groups[-1], rules)
    history.stewards = Stewards(graph, rules, now)
    before = history.stored = read(driver)
    made: dict[int, Done] = {}
    for n in done_in:
        # Only what there is of its group can be chosen.
        history.stored = _only(read(driver), {o.id for o in groups[n]}, f"cookie:{n}")
        name, *arguments = acts[n]
        do = getattr(history, name)(*arguments) if name not in ("undo", "let_meet") else None
        found = attempt(do, False) if do else ""
        if isinstance(found, Done) and found.changes:
            made[n] = found
    for n in undone_in:
        if n in made:
            history.stewards.undo(made[n].changes[-1].id, None, *WHO)
    after = read(driver)
    assert observable(after) == observable(before)
    then, since = leads(before), leads(after)
    assert {id: since[id] for id in then} == then
    # An id that an act made was given out, and leads to somebody who was there before.
    assert set(since.values()) == set(then.values())
    assert verify(graph, rules).findings == {}


def _only(stored: Stored, observations: set[str], beginning: str) -> Stored:
    """What there is of the identifiers whose keys begin so."""
    keys = {key for key in stored.identifiers if key.startswith(beginning)}
    ids = {stored.home[key] for key in keys if key in stored.home}
    return replace(
        stored,
        identifiers={key: stored.identifiers[key] for key in keys},
        profiles={id: stored.profiles[id] for id in ids},
        members=[row for row in stored.members if row["key"] in keys],
        observations={id: o for id, o in stored.observations.items() if id in observations},
    )


CARD, MAIL, PHONE = "loyalty_id:c", "email:m@example.com", "device_id:d"


def told_whole(graph: Graph, driver: neo4j.Driver) -> Stored:
    """What is stored, where every invariant holds and every id that ended leads straight to where it leads."""
    assert verify(graph, Rules()).findings == {}
    stored = read(driver)
    assert {row["loser"]: row["survivor"] for row in stored.tombstones} == {
        id: home for id, home in leads(stored).items() if id != home
    }
    return stored


@pytest.mark.parametrize("taken_out", [[CARD], [MAIL, PHONE]], ids=["the strongest", "the others"])
@pytest.mark.parametrize("turned", [False, True], ids=["older first", "younger first"])
def test_after_a_split_and_a_merge_the_oldest_id_lives(
    graph: Graph, driver: neo4j.Driver, taken_out: list[str], turned: bool
) -> None:
    """Whichever half is named first, whether the split is undone or, as nothing joins them any more, a person does; and
    both acts can be taken back, in turn.
    """
    stewards, sight = Stewards(graph, Rules(), now), said("all", CARD, MAIL, PHONE)
    alone = [said(key, key) for key in (CARD, MAIL, PHONE)]
    write_batch(graph, [*alone, sight, said("two", MAIL, PHONE)], Rules())
    whole = told_whole(graph, driver)
    (old,) = whole.active

    split, _ = stewards.split(old, taken_out, None, *WHO)
    halves = told_whole(graph, driver)
    (new,) = halves.active.keys() - {old}
    assert set(map(frozenset, halves.active.values())) == {frozenset({CARD}), frozenset({MAIL, PHONE})}
    assert CARD in halves.active[old]
    both = [new, old] if turned else [old, new]
    # The split is a person's word as well, and the evidence is there still: it is undone rather than outvoted.
    with pytest.raises(Declined) as apart:
        stewards.merge(both, None, *WHO)
    assert apart.value.code == "CANNOT_LINK"

    def one_again(before: Stored) -> Stored:
        after = told_whole(graph, driver)
        assert after.active == {old: frozenset({CARD, MAIL, PHONE})}
        assert leads(after) == {old: old, new: old}
        assert after.profiles[old]["version"] > before.profiles[old]["version"]
        return after

    undone, _ = stewards.undo(split.changes[0].id, None, *WHO)
    again = one_again(halves)
    stewards.undo(undone.changes[0].id, None, *WHO)
    assert told_whole(graph, driver).active == halves.active

    # Without the evidence only a person can say that they are one.
    (word,) = [w for w in read(driver).words.values() if "lifted_at" not in w]
    stewards.retract(Observations(("all",)), 1, *WHO)
    stewards.remove_cannot_link(min(word["one"]), min(word["other"]), None, *WHO)
    assert told_whole(graph, driver).active == halves.active
    merged, _ = stewards.merge(both, None, *WHO)
    assert merged.profile is not None
    assert merged.profile.id == old
    one_again(again)
    back, _ = stewards.undo(merged.changes[0].id, None, *WHO)
    assert (told_whole(graph, driver).active, leads(read(driver))) == (halves.active, {old: old, new: new})
    stewards.undo(back.changes[0].id, None, *WHO)
    one_again(again)


LONG = 150


def test_a_long_chain_of_merges_is_told_whole_and_comes_back_whole(graph: Graph, driver: neo4j.Driver) -> None:
    """Each profile ends in the one that is older by one, so the youngest is as deep as there are profiles."""
    rules, keys = Rules(), [f"cookie_id:c{n}" for n in range(LONG)]
    sent = [said(f"seen-{n}", key) for n, key in enumerate(keys)]
    sent += [said(f"link-{n}", keys[n - 1], keys[n]) for n in reversed(range(1, LONG))]
    answers, _ = graph.write(lambda tx: [answer for o in sent for answer in observe(tx, [o], rules, now)])
    ids = [answer.profile.id for answer in answers[:LONG] if isinstance(answer, Accepted) and answer.profile]

    def tree(id: str) -> set[tuple[str, str]]:
        return {(ended, into) for ended, into, *_ in graph.read("lineage/tree", ids=[id], limit=LONG)[0][0][0][1]}

    assert tree(ids[0]) == {(ids[n], ids[n - 1]) for n in range(1, LONG)}
    last = answers[-1]
    assert isinstance(last, Accepted)
    Stewards(graph, rules, now).undo(last.changes[0].id, None, *WHO)
    assert tree(ids[0]) == set()
    assert tree(ids[1]) == {(ids[n], ids[n - 1]) for n in range(2, LONG)}
    ((led,),) = graph.read("profile/state", ids=ids)
    assert {row[0]: row[1] for row in led} == {ids[0]: ids[0]} | dict.fromkeys(ids[1:], ids[1])
    assert {loser["survivor"] for loser in read(driver).tombstones} == {ids[1]}
