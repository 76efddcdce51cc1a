"""Segments on a real database: both ways to ask a rule agree, and memberships follow every change at once."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import neo4j
import pytest
import typer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from stored import Stored, empty, read
from typer.testing import CliRunner

from identity_graph.cli_segments import export_app, segment_app
from identity_graph.domain.decision import Accepted
from identity_graph.domain.events import AGGREGATES, Declared, Tally, What, aggregates
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH, parse_observation
from identity_graph.domain.rules import Limits, NamespaceRule, Rules
from identity_graph.domain.segments import DAY, Condition, Definitions, Facts, InvalidRule, Recent, parse_rule
from identity_graph.domain.survivorship import AGGREGATE
from identity_graph.domain.traits import TraitType, microseconds
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import catalogue, live
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import NOW, Lookup
from identity_graph.services.observe import observe
from identity_graph.services.profiles import Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Done, Observations, Stewards
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph
from identity_graph.store.segment_query import satisfying, turning

#: Far from the present, so that nothing that keeps the present's segments on the same server finds these due.
BEGIN = int(timedelta(days=36_500).total_seconds() * 1e6)
RULES = Rules(namespaces={**Rules().namespaces, "user_id": NamespaceRule(unique=True, priority=1, fan_out=2)})


def day(n: float) -> str:
    return (EPOCH + timedelta(microseconds=BEGIN) + timedelta(days=n)).isoformat()


#: Also of names that sources send.
DECLARED = {
    "moved_3_days": Declared("", What.SUM, 3),
    "orders": Declared("purchase", What.COUNT),
    "pages_2_days": Declared("page", What.COUNT, 2),
    "turnover": Declared("", What.SUM),
}
DECLARING = replace(RULES, aggregates=DECLARED)
#: Aggregates are traits too, and a source may say something of the same name.
NAMES = st.sampled_from(["a", "b", "c.d"]) | st.sampled_from(sorted(AGGREGATES | DECLARED))
#: Of traits as they are sent: `c` may be an object with a `d`.
FIRST = st.sampled_from(["a", "b", "c", "lifetime_value", "last_purchase", "orders"])
KEYS = st.sampled_from(["user_id:1", "user_id:2", "email:a@x.example", "email:b@x.example", "device_id:d"])
EVENT = st.none() | st.tuples(st.sampled_from(["page", "purchase", "purchase"]), st.sampled_from([None, 1, 2.5, -3]))
TEXTS = st.sampled_from(["x", "xy", "y", "Ü", "true", "1"])
NUMBERS = st.sampled_from([0, 1, 1.0, 2.5, -3, 10**17])
DATES = st.integers(-3, 6).map(day) | st.sampled_from(["2026-03-01"])
SINGLE = TEXTS | NUMBERS | st.booleans() | DATES
VALUES = SINGLE | st.lists(SINGLE, max_size=3) | st.lists(TEXTS, max_size=2)
TESTS = st.one_of(
    st.fixed_dictionaries({}, optional={"atLeast": NUMBERS, "lessThan": NUMBERS}),
    st.fixed_dictionaries({}, optional={"atMost": NUMBERS, "greaterThan": NUMBERS}),
    st.fixed_dictionaries({"equals": SINGLE}),
    st.fixed_dictionaries({"notEquals": SINGLE}),
    st.fixed_dictionaries({"in": st.lists(SINGLE, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"contains": SINGLE}),
    st.fixed_dictionaries({"startsWith": TEXTS}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({}, optional={"before": DATES, "after": DATES, "withinDays": st.integers(1, 4)}),
)
OF_DATES = st.fixed_dictionaries({}, optional={"before": DATES, "after": DATES, "withinDays": st.integers(1, 4)})
OF_IDENTIFIERS = st.fixed_dictionaries(
    {}, optional={"atLeast": st.integers(0, 3), "atMost": st.integers(0, 3)}
).flatmap(
    lambda bounds: st.sampled_from(
        [{}, {"namespace": "email"}, {"namespaceClass": "DEVICE"}, {"namespaceClass": "CROSS_DEVICE"}]
    ).map(lambda which: bounds | which)
)

AMOUNTS = st.sampled_from([-0.5, 0, 1, 2.5, 3.5])
OF_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["page", "purchase"])},
    optional={
        "count": st.fixed_dictionaries({}, optional={"atLeast": st.integers(0, 3), "atMost": st.integers(0, 2)}),
        "sum": st.fixed_dictionaries({}, optional={"atLeast": AMOUNTS, "atMost": AMOUNTS}).filter(bool),
        "withinDays": st.integers(1, 4),
    },
)


OF_DECLARED = st.one_of(
    st.fixed_dictionaries({}, optional={"atLeast": AMOUNTS, "lessThan": AMOUNTS}).filter(bool),
    st.fixed_dictionaries({}, optional={"greaterThan": AMOUNTS, "atMost": AMOUNTS}).filter(bool),
    st.fixed_dictionaries({"in": st.lists(AMOUNTS, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"notEquals": AMOUNTS}),
    st.fixed_dictionaries({"exists": st.booleans()}),
)
#: A segment on each aggregate, with what it can be asked.
OF_AGGREGATES: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "favourite_channel": st.sampled_from(["crm", "web"]).map(lambda source: {"equals": source}),
    "first_seen": OF_DATES.filter(bool),
    "last_purchase": OF_DATES.filter(bool),
    "last_seen": OF_DATES.filter(bool),
    "lifetime_value": st.fixed_dictionaries({}, optional={"atLeast": AMOUNTS, "lessThan": AMOUNTS}).filter(bool),
    **dict.fromkeys(DECLARED, OF_DECLARED),
}
AGGREGATED = {
    name: tests.map(lambda tests, name=name: {"trait": {"name": name, **tests}})
    for name, tests in OF_AGGREGATES.items()
} | {"window": OF_EVENTS.map(lambda said: {"events": said})}
WHO = ("ann", "because")
ANY = st.integers(0, 99)


def rules(*segments: str) -> st.SearchStrategy[dict[str, Any]]:
    """Rules in the form of the contract, that may name these segments."""
    leaves: list[st.SearchStrategy[dict[str, Any]]] = [
        st.builds(lambda name, tests: {"trait": {"name": name, **tests}}, NAMES, TESTS.filter(bool)),
        OF_DATES.filter(bool).map(lambda tests: {"seen": tests}),
        OF_IDENTIFIERS.map(lambda bounds: {"identifiers": bounds}),
        OF_EVENTS.map(lambda said: {"events": said}),
        *(AGGREGATED[name] for name in OF_AGGREGATES),
    ]
    if segments:
        leaves.append(st.sampled_from(segments).map(lambda name: {"segment": {"name": name}}))
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            inner.map(lambda part: {"not": part}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        ),
        max_leaves=4,
    )


def observed(
    id: str, keys: list[str], at: int, traits: Any, source: str = "web", event: tuple[str, float | None] | None = None
) -> Observation:
    named = [dict(zip(("namespace", "value"), key.split(":", 1), strict=True)) for key in keys]
    when = (EPOCH + timedelta(microseconds=at)).isoformat()
    raw = {"id": id, "source": source, "observedAt": when, "identifiers": named, "traits": traits}
    if event:
        type, value = event
        raw["event"] = {"type": type, "properties": {} if value is None else {"value": value}}
    found = parse_observation(raw, RULES, at)
    assert isinstance(found, Observation)
    return found


def facts(stored: Stored) -> dict[str, Facts]:
    """What rules are about, by active profile, read without the code under test."""
    found: dict[str, Facts] = {}
    for id, keys in stored.active.items():
        many: dict[str, int] = defaultdict(int)
        for key in keys:
            many[key.partition(":")[0]] += 1
        first = min(stored.identifiers[key]["first_seen"] for key in keys)
        last = max(stored.identifiers[key]["last_seen"] for key in keys)
        tallies: list[Tally] = []
        recent: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for one in stored.observations.values():
            if one.get("by") in keys and not one.get("retracted"):
                at, amount = one["observed_at"], one.get("amount") or 0
                for type in ("", one["type"]):
                    recent[type].append((at, amount))
                tallies.append(Tally(one["type"], one["source"], 1, at, at, amount))
        moments = {type: Recent(some) for type, some in recent.items()}
        found[id] = Facts(stored.profiles[id], many, aggregates(tallies, first, last), moments)
    return found


@pytest.fixture(scope="module")
def people(migrated: Graph, driver: neo4j.Driver) -> tuple[Graph, dict[str, Facts]]:
    """Sixty people of every sort, seen twice, and one without traits."""
    empty(driver)
    traits = st.dictionaries(FIRST, VALUES | DATES | st.fixed_dictionaries({"d": VALUES}))
    value = st.lists(st.tuples(traits, st.integers(-5, 0), EVENT), min_size=120, max_size=120)
    drawn: list[Any] = []

    # The first example is the simplest, people of whom nothing is known; the last one stays.
    @settings(max_examples=10, derandomize=True, database=None)
    @given(value)
    def draw(found: list[Any]) -> None:
        drawn[:] = found

    draw()
    kinds = ["email", "device_id", "loyalty_id", "email"]
    batch = [
        observed(
            f"o{n}",
            [f"{kind}:{kind}{n % 60}@x.example" for kind in kinds[: 1 + n % 4]],
            BEGIN + past * DAY,
            traits,
            ["web", "app", "crm"][(n + n // 60) % 3],
            event,
        )
        for n, (traits, past, event) in enumerate(drawn)
    ]
    migrated.write(
        lambda tx: observe(tx, [*batch, observed("bare", ["email:bare@x.example"], BEGIN, None)], RULES, lambda: BEGIN)
    )
    return migrated, facts(read(driver))


@given(raw=rules())
def test_a_rule_means_the_same_in_the_database_and_here(people: tuple[Graph, dict[str, Facts]], raw: Any) -> None:
    expect_the_same(people, raw)


@pytest.mark.parametrize("name", AGGREGATES)
def test_an_aggregate_means_the_same_whatever_it_is_compared_with(
    people: tuple[Graph, dict[str, Facts]], name: str
) -> None:
    days = [{"before": day(n)} for n in range(-5, 2)] + [{"withinDays": n} for n in range(1, 6)]
    tests: dict[str, list[dict[str, Any]]] = {
        "favourite_channel": [{"equals": source} for source in ("web", "app", "crm")],
        "lifetime_value": [{"atLeast": n / 2} for n in range(-6, 8)],
    }
    for test in tests.get(name, days):
        expect_the_same(people, {"trait": {"name": name} | test})


@pytest.mark.parametrize("name", DECLARED)
def test_a_declared_aggregate_means_the_same_whatever_it_is_compared_with(
    people: tuple[Graph, dict[str, Facts]], name: str
) -> None:
    for n in range(-6, 8):
        for operator in ("atLeast", "lessThan", "equals", "notEquals"):
            expect_the_same(people, {"trait": {"name": name, operator: n / 2}})
    for tests in ({"exists": False}, {"in": [0, 1, 2.5, 3]}, {"startsWith": "x"}, {"contains": 1}):
        expect_the_same(people, {"trait": {"name": name} | tests})


@pytest.mark.parametrize("within", [None, 1, 2, 3, 4, 5])
def test_a_sum_means_the_same_whatever_it_is_compared_with(
    people: tuple[Graph, dict[str, Facts]], within: int | None
) -> None:
    for n in range(-6, 8):
        said = {"type": "purchase", "count": {"atLeast": 0}, "sum": {"atLeast": n / 2}, "withinDays": within}
        expect_the_same(people, {"events": said})


def expect_the_same(people: tuple[Graph, dict[str, Facts]], raw: Any) -> None:
    graph, known = people
    definitions, parsed = Definitions({}, DECLARING), parse_rule(raw, DECLARING.aggregates)
    # Asked as a preview asks, which refuses what no type fits.
    ((size, ids),) = graph.read_with("segment/preview", satisfying(parsed, definitions, BEGIN), limit=1_000)
    assert set(ids) == {id for id, one in known.items() if definitions.holds(parsed, one, BEGIN)}
    assert len(ids) == size


class History(RuleBasedStateMachine):
    """Observations, what people do and undo, definitions and days in any order; after each, memberships are what the
    rules say."""

    graph: ClassVar[Graph]
    driver: ClassVar[neo4j.Driver]

    @initialize(defined=st.fixed_dictionaries(AGGREGATED))
    def start(self, defined: dict[str, Any]) -> None:
        empty(self.driver)
        self.at = BEGIN
        self.sent = 0
        self.segments = Segments(self.graph, DECLARING, lambda: self.at)
        self.stewards = Stewards(self.graph, DECLARING, lambda: self.at)
        self.rules: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        for name, raw in defined.items():
            self.rules[name], self.versions[name] = raw, self.segments.define(name, "", raw, "test")[0].version

    @rule(
        batch=st.lists(
            st.tuples(
                st.lists(KEYS, min_size=1, max_size=3, unique=True),
                st.none() | st.dictionaries(FIRST, SINGLE, max_size=2),
                st.integers(0, 2),
                st.sampled_from(["web", "crm"]),
                EVENT,
            ),
            min_size=1,
            max_size=3,
        )
    )
    def observe(self, batch: list[tuple[list[str], Any, int, str, Any]]) -> None:
        self._tick()
        said = [
            observed(f"o{self.sent + n}", keys, self.at - past * DAY, traits, source, event)
            for n, (keys, traits, past, source, event) in enumerate(batch)
        ]
        self.sent += len(said)
        self.graph.write(lambda tx: observe(tx, said, DECLARING, lambda: self.at))
        self._expect()

    @rule(kind=st.sampled_from(["merge", "split", "undo", "undo", "retract", "retract"]), one=ANY, other=ANY)
    def act(self, kind: str, one: int, other: int) -> None:
        self._tick()
        stored = read(self.driver)
        profiles, changes, said = sorted(stored.active), sorted(stored.changes), sorted(stored.observations)
        with suppress(Declined):
            if kind == "merge" and profiles:
                ids = [profiles[one % len(profiles)], profiles[other % len(profiles)]]
                self.stewards.merge(ids, None, *WHO)
            elif kind == "split" and profiles:
                id = profiles[one % len(profiles)]
                members = sorted(stored.active[id])
                self.stewards.split(id, {members[other % len(members)]}, None, *WHO)
            elif kind == "undo" and changes:
                self.stewards.undo(changes[one % len(changes)], None, *WHO)
            elif kind == "retract" and said:
                self.stewards.retract(Observations(ids=(said[one % len(said)],)), 100, *WHO)
        self._expect()

    @rule(name=st.sampled_from(["p", "q", "r"]), data=st.data())
    def define(self, name: str, data: st.DataObject) -> None:
        self._tick()
        raw = data.draw(rules("p", "q", "r"))
        refused = code_of(lambda: self._definitions().check(name, parse_rule(raw, DECLARING.aggregates)))

        def define() -> None:
            found, _ = self.segments.define(name, "", raw, "test", expected_version=self.versions.get(name))
            self.rules[name], self.versions[name] = raw, found.version

        found = code_of(define)
        # What the traits are is another test's.
        assert found == refused or (found == "TYPE_MISMATCH" and not refused)
        self._expect()

    @rule(name=st.sampled_from(["p", "q", "r"]))
    def delete(self, name: str) -> None:
        self._tick()
        refused = None if name in self.rules else "UNKNOWN_SEGMENT"
        if self._definitions().dependents(name) and not refused:
            refused = "SEGMENT_IN_USE"
        assert code_of(lambda: self.segments.delete(name)) == refused
        if not refused:
            del self.rules[name], self.versions[name]
        self._expect()

    @rule(days=st.sampled_from([0.5, 1, 1, 2, 5]))
    def wait(self, days: float) -> None:
        self.at += round(days * DAY)
        self.segments.catch_up()
        self._expect()

    def _tick(self) -> None:
        """A moment later, and what time changes by it done: a write is not asked to do that."""
        self.at += 1
        self.segments.catch_up()

    def _definitions(self) -> Definitions:
        return Definitions({name: parse_rule(raw, DECLARING.aggregates) for name, raw in self.rules.items()}, DECLARING)

    def _expect(self) -> None:
        definitions = self._definitions()
        known = facts(read(self.driver))
        wanted = {
            name: {id for id, one in known.items() if definitions.holds(parsed, one, self.at)}
            for name, parsed in definitions.rules.items()
        }
        assert members(self.driver) == {name: ids for name, ids in wanted.items() if ids}
        for name, ids in wanted.items():
            paged, more, total = self.segments.members(name, 100, "", NOW)
            assert ([id for id, _ in paged], more, total) == (sorted(ids), False, len(ids))
        assert replayed(self.driver) == members(self.driver)
        assert summed(self.graph, known, lambda: self.at) == {
            id: {name: value for name in AGGREGATES if (value := one.aggregates.trait(name)) is not None}
            | {name: value for name, of in DECLARED.items() if (value := counted(of, one, self.at)) is not None}
            for id, one in known.items()
        }

    def teardown(self) -> None:
        assert verify(self.graph, DECLARING, clock=lambda: self.at).findings == {}


def summed(graph: Graph, ids: Iterable[str], clock: Callable[[], int]) -> dict[str, dict[str, Any]]:
    """The aggregates that golden records show, or name after what others say, as segments have them."""

    def plain(name: str, value: Any) -> Any:
        return microseconds(value) if AGGREGATES.get(name) is TraitType.DATE else value

    with ThreadPoolExecutor(1) as readers:
        profiles = Profiles(graph, DECLARING, Lookup(graph, DECLARING, readers), readers, clock)
        golden = {id: asyncio.run(profiles.golden_record(id)) for id in ids}
    return {
        id: {
            one.name: plain(one.name, said.value)
            for one in record
            for said in (one.chosen, *one.alternatives)
            if said.source == AGGREGATE
        }
        for id, record in golden.items()
    }


def counted(of: Declared, one: Facts, at: int) -> float | None:
    """The value of a declared aggregate by all events that there are."""
    since = -BEGIN if of.days is None else at - of.days * DAY
    return of.value(*one.recent.get(of.type, Recent()).since(since))


def code_of(work: Callable[[], None]) -> str | None:
    try:
        work()
    except InvalidRule as e:
        return e.code
    return None


def members(driver: neo4j.Driver) -> dict[str, set[str]]:
    rows = driver.execute_query("MATCH (p:Profile)-[:IN_SEGMENT]->(s:Segment) RETURN s.name, collect(p.id)").records
    return {name: set(ids) for name, ids in rows}


def replayed(driver: neo4j.Driver) -> dict[str, set[str]]:
    """Who is in which segment by what was told of each."""
    found: dict[str, set[str]] = defaultdict(set)
    text = "MATCH (c:SegmentChange) RETURN c.segment, c.profile, c.kind ORDER BY c.place"
    for segment, profile, kind in driver.execute_query(text).records:
        inside = found[segment]
        assert (profile in inside) is (kind == "LEFT"), "told twice"
        (inside.add if kind == "ENTERED" else inside.remove)(profile)
    return {name: ids for name, ids in found.items() if ids}


def test_memberships_follow_every_change(graph: Graph, driver: neo4j.Driver) -> None:
    History.graph, History.driver = graph, driver
    examples = max(1, settings().max_examples // 3)
    # A history takes seconds, and to make it smaller minutes: it is shown as it was found.
    found = (Phase.explicit, Phase.reuse, Phase.generate)
    run_state_machine_as_test(History, settings=settings(max_examples=examples, stateful_step_count=8, phases=found))


def test_a_merge_is_felt_by_a_segment_on_identifiers(graph: Graph, driver: neo4j.Driver) -> None:
    segments = Segments(graph, RULES, lambda: BEGIN)
    segments.define("many", "", {"identifiers": {"atLeast": 3}}, "test")
    segments.define("one", "", {"identifiers": {"atMost": 1}}, "test")

    def send(id: str, *keys: str) -> None:
        graph.write(lambda tx: observe(tx, [observed(id, list(keys), BEGIN, None)], RULES, lambda: BEGIN))

    send("o1", "email:a@x.example", "loyalty_id:1")
    send("o2", "device_id:d")
    (one,) = members(driver)["one"]
    send("o3", "email:a@x.example", "device_id:d")
    assert members(driver) == {"many": set(read(driver).active)}
    assert one not in members(driver)["many"]
    send("o4", "device_id:e")
    send("o5", "cookie_id:c", "device_id:e")
    assert members(driver).keys() == {"many"}


@pytest.mark.parametrize("meanwhile", ["define", "write"])
def test_a_moment_that_has_come_is_not_lost_to_another_segment(
    graph: Graph, driver: neo4j.Driver, meanwhile: str
) -> None:
    """Between that moment and the scheduler the profile is evaluated for a segment that it is not about."""
    at = BEGIN
    segments = Segments(graph, RULES, lambda: at)
    segments.define("fresh", "", {"trait": {"name": "renewed", "withinDays": 2}}, "test")
    if meanwhile == "write":
        segments.define("pros", "", {"trait": {"name": "plan", "equals": "pro"}}, "test")
    at += DAY
    segments.catch_up()
    said = observed("o1", ["user_id:1"], at, {"renewed": day(1), "plan": "free"})
    graph.write(lambda tx: observe(tx, [said], RULES, lambda: at))
    assert members(driver).keys() == {"fresh"}
    at += 2 * DAY + 1
    if meanwhile == "write":
        late = observed("o2", ["user_id:1"], at, {"plan": "pro"}, "crm")
        graph.write(lambda tx: observe(tx, [late], RULES, lambda: at))
    else:
        segments.define("seen", "", {"seen": {"withinDays": 9}}, "test")
    segments.catch_up()
    assert members(driver).keys() == {"pros" if meanwhile == "write" else "seen"}


def test_aggregates_are_traits_that_follow_events_merges_and_what_is_taken_back(
    graph: Graph, driver: neo4j.Driver
) -> None:
    ticks = count(BEGIN)
    later = 0

    def clock() -> int:
        return next(ticks) + later

    segments, stewards = Segments(graph, RULES, clock), Stewards(graph, RULES, clock)
    trait = {"name": "lifetime_value", "atLeast": 500}
    segments.define("best", "", {"trait": trait}, "test")
    segments.define("bought", "", {"trait": {"name": "last_purchase", "withinDays": 2}}, "test")
    segments.define("app", "", {"trait": {"name": "favourite_channel", "equals": "app"}}, "test")
    segments.define("old", "", {"trait": {"name": "first_seen", "before": day(-1)}}, "test")
    month = {"type": "purchase", "withinDays": 30, "count": {"atLeast": 0}, "sum": {"atMost": 300}}
    segments.define("little", "", {"events": month}, "test")

    def buy(id: str, keys: list[str], value: float, source: str, ago: int = 0, traits: Any = None) -> str:
        said = [observed(id, keys, BEGIN - ago * DAY, traits, source, ("purchase", value))]
        (answer,), _ = graph.write(lambda tx: observe(tx, said, RULES, clock))
        assert isinstance(answer, Accepted)
        assert answer.profile
        return answer.profile.id

    def inside(id: str) -> set[str]:
        return {name for name, ids in members(driver).items() if id in ids}

    one = buy("o1", ["user_id:1", "device_id:d"], 300, "app")
    assert inside(one) == {"bought", "app", "little"}
    assert buy("o2", ["user_id:1"], 200, "app") == one
    assert inside(one) == {"best", "bought", "app"}
    other = buy("o3", ["email:a@x.example"], 250.5, "shop", ago=3)
    assert inside(other) == {"old", "little"}
    (told,) = (c for c in (explained(segments, "best", one)) if c.path == ("rule",))
    assert (told.words, told.holds, told.actual) == ("lifetime_value atLeast 500.0", True, 500.0)
    (told,) = explained(segments, "little", other)
    assert told.words == "events purchase within 30 days: 0 at least, sum 300 at most"
    assert told.actual == {"count": 1, "sum": 250.5}
    (told,) = explained(segments, "bought", other)
    assert (told.holds, told.actual) == (False, day(-3).replace("+00:00", "Z"))

    def undo(done: Done, kind: str) -> None:
        (change,) = (c.id for c in done.changes if c.kind == kind)
        stewards.undo(change, None, *WHO)

    merged, _ = stewards.merge([one, other], None, *WHO)
    assert merged.profile.id == one
    assert inside(one) == {"best", "bought", "app", "old"}
    undo(merged, "MERGED")
    assert (inside(one), inside(other)) == ({"best", "bought", "app"}, {"old", "little"})
    parted, _ = stewards.split(one, {"device_id:d"}, None, *WHO)
    assert members(driver)["best"] == {one}
    undo(parted, "SPLIT")
    assert inside(one) == {"best", "bought", "app"}
    # What a source says of the same name goes before; a moment in its place is one.
    buy("o4", ["user_id:1"], 1, "app", traits={"lifetime_value": 5, "last_purchase": day(-9)})
    assert inside(one) == {"app"}
    stewards.retract(Observations(ids=("o4",)), 100, *WHO)
    assert inside(one) == {"best", "bought", "app"}
    later = 3 * DAY
    segments.catch_up()
    assert inside(one) == {"best", "app"}
    visits = [observed(f"v{n}", ["user_id:1"], BEGIN, None, "shop", ("page", None)) for n in range(3)]
    graph.write(lambda tx: observe(tx, visits, RULES, clock))
    assert inside(one) == {"best"}


def test_who_loses_the_identifier_of_their_events_loses_what_they_add_up_to(graph: Graph, driver: neo4j.Driver) -> None:
    """The events are of the stronger identifier, which nobody names any more once they are taken back."""
    segments, stewards = Segments(graph, RULES, lambda: BEGIN), Stewards(graph, RULES, lambda: BEGIN)
    segments.define("buyers", "", {"trait": {"name": "lifetime_value", "exists": True}}, "test")
    segments.define("count", "", {"events": {"type": "purchase"}}, "test")
    keys = ["email:a@x.example", "device_id:d"]
    said = [observed("o1", keys, BEGIN, None, event=("purchase", 9)), observed("o2", keys[1:], BEGIN, None)]
    graph.write(lambda tx: observe(tx, said, RULES, lambda: BEGIN))
    assert members(driver).keys() == {"buyers", "count"}
    stewards.retract(Observations(ids=("o1",)), 100, *WHO)
    assert list(read(driver).active.values()) == [{"device_id:d"}]
    assert members(driver) == {}


def explained(segments: Segments, name: str, profile: str) -> list[Condition]:
    found = segments.explain(name, profile, NOW)
    assert found
    return found.conditions


class Forgotten(dict[Any, Any]):
    """What another thread clears as soon as something is put there."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def test_what_another_thread_forgets_is_read_all_the_same(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (catalogue, live):
        monkeypatch.setattr(module, "_known", Forgotten())
    segments = Segments(graph, RULES, lambda: BEGIN)
    segments.define("dutch", "", {"trait": {"name": "country", "equals": "NL"}}, "test")
    person = observed("o", ["email:a@x.example"], BEGIN, {"country": "NL"})
    graph.write(lambda tx: observe(tx, [person], RULES, lambda: BEGIN))
    found = segments.one("dutch", NOW)
    assert found
    assert found.size == 1


def test_a_definition_uses_the_index_of_its_trait_and_gives_it_back(graph: Graph, driver: neo4j.Driver) -> None:
    segments = Segments(graph, RULES, lambda: BEGIN)
    graph.write(
        lambda tx: observe(tx, [observed("o", ["email:a@x.example"], BEGIN, {"zip": "1012AB"})], RULES, lambda: BEGIN)
    )
    raw = {"all": [{"trait": {"name": "zip", "equals": "1012AB"}}, {"seen": {"withinDays": 3}}]}
    assert segments.define("near", "", raw, "test")[0].size == 1

    def indexes() -> set[str]:
        return {name for (name,) in driver.execute_query("SHOW INDEXES YIELD name RETURN name").records}

    assert "trait:zip" in indexes()
    driver.execute_query("CALL db.awaitIndexes(60)")
    asked = parse_rule(raw), Definitions({}, RULES), BEGIN
    with driver.session() as session:
        for name, query in (("preview", satisfying(*asked)), ("turning", turning(*asked))):
            given = query.params | {"limit": 1}
            plan = session.run(neo4j.Query("EXPLAIN " + query.into(f"segment/{name}")), given).consume().plan
            assert "NodeIndexSeek" in str(plan), name
    segments.delete("near")
    assert "trait:zip" not in indexes()


def test_only_of_those_that_satisfy_everything_else_is_anything_summed_up(graph: Graph, driver: neo4j.Driver) -> None:
    """The planner would begin with the sums, which cost most, of every profile that there is."""
    people = [
        observed(f"o{n}", [f"email:p{n}@x.example"], BEGIN, {"country": "NL" if n < 2 else "BE"}) for n in range(40)
    ]
    graph.write(lambda tx: observe(tx, people, RULES, lambda: BEGIN))
    raw = {
        "all": [
            {"events": {"type": "page", "withinDays": 30, "count": {"atLeast": 2}}},
            {"trait": {"name": "lifetime_value", "atLeast": 50}},
            {"trait": {"name": "country", "equals": "NL"}},
        ]
    }
    query = satisfying(parse_rule(raw), Definitions({}, RULES), BEGIN)
    with driver.session() as session:
        text = neo4j.Query("PROFILE " + query.into("segment/preview"))
        profile = session.run(text, query.params | {"limit": 1}).consume().profile
    assert profile
    summed = {
        name: operator["rows"]
        for operator in operators(profile)
        for name in ("aggregate_lifetime_value_", "many_0_")
        if f"AS {name}" in operator["args"].get("Details", "")
    }
    # Nobody has bought anything, so nobody is left whose events are counted.
    assert summed == {"aggregate_lifetime_value_": 2, "many_0_": 0}


def operators(of: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield of
    for part in of.get("children", []):
        yield from operators(part)


def test_a_source_that_uses_names_for_values_fills_no_database_and_is_told(graph: Graph, driver: neo4j.Driver) -> None:
    few = replace(RULES, limits=Limits(trait_names=3))

    def send(id: str, source: str, traits: dict[str, Any]) -> tuple[str, ...]:
        said = [observed(id, ["email:a@x.example"], BEGIN, traits, source)]
        (answer,), _ = graph.write(lambda tx: observe(tx, said, few, lambda: BEGIN))
        assert isinstance(answer, Accepted)
        return answer.left_out

    first = {"a": 1, "b": "Ada 1", "c": {"d": "2026-03-01"}, "e": "x"}
    assert send("o1", "crm", first) == ("e",)
    assert send("o1", "crm", first) == (), "it was told, and counts once"
    assert send("o2", "web", {"a": "x", "b": None}) == ()
    assert send("o3", "crm", {"a": 2, "f": 1, "g": {"h": 1}}) == ("f", "g.h")
    traits, full = Segments(graph, RULES, lambda: BEGIN).catalogue(NOW)
    assert full == {"crm": 3}
    given = [(t.name, t.types, t.sources, t.fill_rate, t.examples) for t in traits if t.kind == "GIVEN"]
    assert given == [
        ("a", ["NUMBER", "TEXT"], ["crm", "web"], 1.0, ["9", "x"]),
        ("b", ["TEXT"], ["crm"], 1.0, ["Xxx 9"]),
        ("c.d", ["DATE"], ["crm"], 1.0, ["9999-99-99"]),
    ]
    (shown,) = read(driver).profiles.values()
    assert {name for name in shown if ":" in name} == {"trait:a", "trait:b", "trait:c.d", "date:c.d"}
    segments = Segments(graph, RULES, lambda: BEGIN)
    assert [e.code for e in segments.remarks({"trait": {"name": "bb", "exists": True}})] == ["UNKNOWN_TRAIT"]
    with pytest.raises(InvalidRule, match="atLeast is for NUMBER, but b is TEXT") as caught:
        segments.define("s", "", {"not": {"trait": {"name": "b", "atLeast": 1}}}, "test")
    assert (caught.value.code, caught.value.path) == ("TYPE_MISMATCH", ("rule", "not", "trait", "atLeast"))


def test_the_catalogue_tells_aggregates_by_how_many_have_them(graph: Graph) -> None:
    said = [
        observed("o1", ["user_id:1"], BEGIN, {"lifetime_value": 5}, event=("purchase", 1)),
        observed("o2", ["user_id:2"], BEGIN, None, event=("page", None)),
        observed("o3", ["user_id:3"], BEGIN, {"lifetime_value": "much"}),
        observed("o4", ["user_id:4"], BEGIN, {"plan": "pro"}),
    ]
    graph.write(lambda tx: observe(tx, said, RULES, lambda: BEGIN))
    traits, _ = Segments(graph, RULES, lambda: BEGIN).catalogue(NOW)
    assert [(t.name, str(t.kind), t.types, t.fill_rate) for t in traits] == [
        ("favourite_channel", "AGGREGATE", ["TEXT"], 0.5),
        ("first_seen", "AGGREGATE", ["DATE"], 1.0),
        ("last_purchase", "AGGREGATE", ["DATE"], 0.25),
        ("last_seen", "AGGREGATE", ["DATE"], 1.0),
        ("lifetime_value", "AGGREGATE", ["NUMBER", "TEXT"], 0.5),
        ("plan", "GIVEN", ["TEXT"], 0.25),
    ]


def test_the_catalogue_tells_declared_aggregates_by_how_many_have_them_now(graph: Graph) -> None:
    """What sources say of such a name is never the trait, so it is told of the sources only."""
    said = [
        observed("o1", ["user_id:1"], BEGIN - 9 * DAY, None, event=("purchase", 1)),
        observed("o2", ["user_id:2"], BEGIN - DAY, {"turnover": "much"}, event=("page", None)),
        observed("o3", ["user_id:3"], BEGIN, {"orders": 5}),
        observed("o4", ["user_id:4"], BEGIN, None, "app"),
    ]
    graph.write(lambda tx: observe(tx, said, DECLARING, lambda: BEGIN))
    traits, _ = Segments(graph, DECLARING, lambda: BEGIN).catalogue(NOW)
    told = [(t.name, str(t.kind), t.types, t.sources, t.fill_rate, t.examples) for t in traits if t.name in DECLARED]
    assert told == [
        ("moved_3_days", "AGGREGATE", ["NUMBER"], [], 0.25, []),
        ("orders", "AGGREGATE", ["NUMBER"], ["web"], 0.25, []),
        ("pages_2_days", "AGGREGATE", ["NUMBER"], [], 0.25, []),
        ("turnover", "AGGREGATE", ["NUMBER"], ["web"], 0.5, []),
    ]
    (remark,) = Segments(graph, DECLARING, lambda: BEGIN).remarks({"trait": {"name": "turnovr", "exists": True}})
    assert str(remark).endswith("did you mean turnover?")


def test_a_name_that_is_too_long_is_listed_shortened(graph: Graph, driver: neo4j.Driver) -> None:
    """Also where its source has more names than are taken; whole it stays in the record."""
    few, long = replace(RULES, limits=Limits(trait_names=2)), "x" * 300

    def send(id: str, traits: dict[str, Any]) -> tuple[str, ...]:
        said = [observed(id, ["email:a@x.example"], BEGIN, traits)]
        (answer,), _ = graph.write(lambda tx: observe(tx, said, few, lambda: BEGIN))
        assert isinstance(answer, Accepted)
        return answer.left_out

    assert send("o1", {"a": 1, long: "Ada"}) == ()
    assert send("o2", {"b": 1, long: "Bob", "y" * 300: 1}) == ("b", f"{'y' * 255}…")
    traits, full = Segments(graph, RULES, lambda: BEGIN).catalogue(NOW)
    given = [(t.name, t.searchable, t.types, t.fill_rate, t.examples) for t in traits if t.kind == "GIVEN"]
    assert (given, full) == (
        [("a", True, ["NUMBER"], 0.0, ["9"]), (f"{'x' * 255}…", False, ["TEXT"], 0.0, ["Xxx"])],
        {"web": 2},
    )
    kept = [json.loads(record["traits"]).keys() for record in read(driver).records.values()]
    assert {"b", long, "y" * 300} in kept


def test_the_command_line(
    graph: Graph, neo4j_connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEO4J_URI", neo4j_connection.uri)
    monkeypatch.setenv("NEO4J_USER", neo4j_connection.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_connection.password)
    said = [observed("o", ["email:a@x.example"], BEGIN, {"plan": "pro"})]
    graph.write(lambda tx: observe(tx, said, RULES, lambda: BEGIN))
    rule_file = tmp_path / "rule.json"
    rule_file.write_text('{"trait": {"name": "plan", "equals": "pro"}}')

    def run(app: typer.Typer, *arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert run(segment_app, "preview", str(rule_file))["size"] == 1
    assert run(segment_app, "define", "pros", str(rule_file))["size"] == 1
    assert [one["name"] for one in run(segment_app, "list")["segments"]] == ["pros"]
    (plan,) = (one for one in run(segment_app, "traits")["traits"] if one["kind"] == "GIVEN")
    assert (plan["name"], plan["fill_rate"], plan["examples"]) == ("plan", 1.0, ["xxx"])
    (member,) = run(segment_app, "members", "pros")["members"]
    explained = run(segment_app, "explain", "pros", member["profile_id"])
    assert (explained["is_member"], explained["conditions"][0]["words"]) == (True, 'plan equals "pro"')
    assert run(export_app, "segment", "pros", "--out", str(tmp_path / "pros.csv"))["rows"] == 1
    rule_file.write_text('{"trait": {"name": "plan", "equals": "free"}}')
    assert run(segment_app, "define", "pros", str(rule_file), "--replace", "1")["version"] == 2
    told = run(segment_app, "versions", "pros")["versions"]
    assert [(one["version"], one["rule"]["trait"]["equals"]) for one in told] == [(2, "free"), (1, "pro")]
    assert all(one["defined_by"] and one["defined_at"] for one in told)
    unknown = CliRunner().invoke(segment_app, ["versions", "none", "--json"])
    assert json.loads(unknown.stdout)["error"]["code"] == "UNKNOWN_SEGMENT"
    assert run(segment_app, "refresh") == {"evaluated": 0}
    assert run(segment_app, "delete", "pros")["deleted"] == "pros"

    rule_file.write_text('{"trait": {"name": "plna", "exists": true}}')
    (remark,) = run(segment_app, "define", "later", str(rule_file), "--dry-run")["remarks"]
    assert (remark["code"], remark["path"]) == ("UNKNOWN_TRAIT", ["rule", "trait", "name"])
    told = CliRunner().invoke(segment_app, ["define", "later", str(rule_file)])
    assert f"UNKNOWN_TRAIT: rule.trait.name: {remark['message']}" in told.stdout
    rule_file.write_text('{"trait": {"name": "plan", "atLeast": 1}}')
    for asked in (["define", "odd"], ["preview"]):
        wrong = CliRunner().invoke(segment_app, [*asked, str(rule_file), "--json"])
        error = json.loads(wrong.stdout)["error"]
        assert (wrong.exit_code, error["code"], error["path"]) == (1, "TYPE_MISMATCH", ["rule", "trait", "atLeast"])
        wrong = CliRunner().invoke(segment_app, [*asked, str(rule_file)])
        assert (wrong.exit_code, wrong.stdout) == (1, "")
        assert f"TYPE_MISMATCH: rule.trait.atLeast: {error['message']}" in wrong.stderr
    refused = CliRunner().invoke(export_app, ["profiles", "--out", str(tmp_path / "x.xlsx")])
    assert refused.exit_code == 2
    assert ".parquet" in refused.output
