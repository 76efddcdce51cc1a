"""Other rules for a graph that is in use: afterwards it is as if they had been there from the start."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import neo4j
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from properties.worlds import JUNK, RULES, SAID, Said, observed
from sending import said as a_row
from stored import Stored, empty, problems, read
from typer.testing import CliRunner

from identity_graph import cli_rules
from identity_graph.domain.events import Declared
from identity_graph.domain.rules import Blocked, NamespaceClass, Normaliser, Rules, Survivorship, TraitRule
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import apply_rules
from identity_graph.services.active_rules import Followed, OtherRules, active_rules, followed, superseded
from identity_graph.services.apply_rules import former_rules
from identity_graph.services.audit import audit_entries
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import Freshness, Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.errors import RulesChanged
from identity_graph.store.graph import Graph

ANY = st.integers(0, 99)
#: Rules that differ in what is junk as well.
OTHERS = st.builds(
    lambda rules, junk: replace(rules, blocked=Blocked(frozenset({JUNK, *junk}))),
    RULES,
    st.sampled_from([(), ("a",), ("b",), ("a", "b", "c", "d")]),
)


def apply(graph: Graph, rules: Rules) -> int:
    return apply_rules.apply_rules(graph, rules, now, "ann", "because", lambda what, many: None).resolved


def start(graph: Graph, driver: neo4j.Driver, rules: Rules, said: list[Said]) -> Stored:
    empty(driver)
    active_rules(graph, rules, now())
    write_batch(graph, observed(said, rules), rules)
    return read(driver)


def keep_apart(
    graph: Graph, driver: neo4j.Driver, rules: Rules, stored: Stored, pairs: list[tuple[int, int]]
) -> Stored:
    """Let a steward say of some pairs of identifiers that they are two people."""
    stewards, keys = Stewards(graph, rules, now), sorted(stored.home)
    for one, other in pairs if keys else []:
        with suppress(Declined):
            stewards.set_cannot_link(keys[one % len(keys)], keys[other % len(keys)], None, "ann", "because")
    return read(driver)


def told(stored: Stored) -> dict[str, Any]:
    """What a graph says of people, whatever it was before."""
    profiles = {id: {k: v for k, v in stored.profiles[id].items() if k != "version"} for id in stored.active}
    return {"home": stored.home, "refused": stored.refused, "shared": stored.shared, "profiles": profiles}


@settings(max_examples=max(1, settings().max_examples // 5), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(OTHERS, OTHERS, SAID, SAID, st.lists(st.tuples(ANY, ANY), max_size=2))
def test_afterwards_the_graph_is_what_the_new_rules_make_of_the_evidence_and_it_can_be_taken_back(
    migrated: Graph,
    driver: neo4j.Driver,
    rules: Rules,
    others: Rules,
    said: list[Said],
    more: list[Said],
    apart: list[tuple[int, int]],
) -> None:
    assume(rules.version != others.version)
    before = keep_apart(migrated, driver, rules, start(migrated, driver, rules, said), apart)
    apply(migrated, others)
    after = read(driver)
    taken = observed(said, others)
    assert problems(after, taken, others, others.blocked.values) == []
    assert apply(migrated, others) == 0
    assert read(driver) == after

    apply(migrated, former_rules(migrated))
    back = read(driver)
    assert problems(back, observed(said, rules), rules, rules.blocked.values) == []
    assert told(back) == told(before)

    added = observed(more, rules, "more")
    write_batch(migrated, added, rules)
    then = read(driver)
    assert problems(then, [*observed(said, rules), *added], rules, rules.blocked.values) == []


# --- What is stopped, what goes on meanwhile

UNIQUE = replace(Rules(), namespaces={**Rules().namespaces, "email": replace(Rules().rule("email"), unique=True)})


def families(many: int) -> list[Said]:
    """Each a card with two e-mail addresses, which other rules take apart."""
    return [
        ([("loyalty_id", f"card{n}"), ("email", f"{one}{n}@a.example")], n, "web")
        for n in range(many)
        for one in ("a", "b")
    ]


def test_what_was_stopped_goes_on(graph: Graph, driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_rules, "TOGETHER", 10)
    start(graph, driver, Rules(), families(40))

    def stop(what: str, _: int) -> None:
        if what == "resolving":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_rules.apply_rules(graph, UNIQUE, now, "ann", "because", stop)
    begun = len(read(driver).active) - 40
    assert 0 < begun < 40
    now_followed = followed(graph)
    assert now_followed == replace(now_followed or Followed(UNIQUE), rules=UNIQUE, settled=False)
    apply(graph, UNIQUE)
    stored = read(driver)
    assert (len(stored.active), problems(stored, observed(families(40), UNIQUE), UNIQUE, {JUNK})) == (80, [])
    now_followed = followed(graph)
    assert now_followed == replace(now_followed or Followed(UNIQUE), settled=True)
    told_by = [c for c in stored.changes.values() if c["kind"] == "SPLIT"]
    assert {(c["cause"], c["actor"], c["reason"], c["rules_version"]) for c in told_by} == {
        ("RULES", "ann", "because", UNIQUE.version)
    }
    assert len(told_by) == 40
    assert [c["kind"] for c in stored.changes.values() if c["kind"] == "RULES_CHANGED"] == ["RULES_CHANGED"]


def test_going_back_goes_one_further_each_time(graph: Graph, driver: neo4j.Driver) -> None:
    """What came of each is taken back; once there is nothing before, that is said. What was stopped goes on."""
    first = told(start(graph, driver, Rules(), families(3)))
    apply(graph, UNIQUE)
    second = told(read(driver))
    apply(graph, replace(UNIQUE, size_cap=1))
    assert len(read(driver).active) == 9

    def stop(what: str, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_rules.apply_rules(graph, former_rules(graph), now, "ann", "because", stop)
    for before in (second, first):
        apply(graph, former_rules(graph))
        assert told(read(driver)) == before
    with pytest.raises(OtherRules, match="its first rules"):
        former_rules(graph)
    apply(graph, UNIQUE)
    assert former_rules(graph) == Rules()


def test_who_still_has_the_former_rules_is_told_so_and_writes_nothing(graph: Graph, driver: neo4j.Driver) -> None:
    before = start(graph, driver, Rules(), families(2))
    apply(graph, UNIQUE)
    after = read(driver)
    with pytest.raises(RulesChanged):
        write_batch(graph, observed([([("email", "new@a.example")], 1, "web")], Rules(), "late"), Rules())
    with pytest.raises(RulesChanged):
        Stewards(graph, Rules(), now).merge(sorted(after.active)[:2], None, "ann", "because")
    assert read(driver) == after
    assert len(after.active) == 2 * len(before.active)


def test_others_write_meanwhile(graph: Graph, driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told of other rules goes on by them; at the end it is as if they had been there from the start."""
    monkeypatch.setattr(apply_rules, "TOGETHER", 10)
    start(graph, driver, Rules(), families(60))
    more: list[Said] = [([("loyalty_id", f"card{n}"), ("email", f"c{n}@a.example")], n, "app") for n in range(60)]
    told_so: list[int] = []

    def write() -> None:
        rules = Rules()
        for n, one in enumerate(more):
            while True:
                try:
                    write_batch(graph, observed([one], rules, f"more{n}/"), rules)
                    break
                except RulesChanged:
                    told_so.append(n)
                    rules = superseded(graph, rules) or rules

    with ThreadPoolExecutor(1) as other:
        writing = other.submit(write)
        while not _observed_by_app(driver):
            pass
        apply(graph, UNIQUE)
        writing.result()
    stored = read(driver)
    taken = observed(families(60), UNIQUE)
    taken += [o for n, one in enumerate(more) for o in observed([one], UNIQUE, f"more{n}/")]
    assert told_so
    assert problems(stored, taken, UNIQUE, {JUNK}, by_definition=False) == []


def _observed_by_app(driver: neo4j.Driver) -> int:
    with driver.session() as session:
        return session.run("MATCH (o:Observation {source: 'app'}) RETURN count(o)").single(strict=True)[0]


def test_golden_records_follow_other_rules_of_survivorship(graph: Graph, driver: neo4j.Driver) -> None:
    empty(driver)
    rules = Rules()
    others = replace(rules, traits={"name": TraitRule((Survivorship.LONGEST,))})
    active_rules(graph, rules, now())
    rows = [
        a_row(
            "1", "email:a@a.example", recordId="1", traits={"name": "Ada Lovelace"}, observedAt="2026-01-01T00:00:00Z"
        ),
        a_row("2", "email:a@a.example", recordId="2", traits={"name": "Ada"}, observedAt="2026-01-02T00:00:00Z"),
    ]
    write_batch(graph, rows, rules)

    def name() -> object:
        (profile,) = (read(driver).profiles[id] for id in read(driver).active)
        return profile["trait:name"]

    assert name() == "Ada"
    before = now()
    assert apply_rules.apply_rules(graph, others, now, "ann", "because", lambda what, many: None).shown == 1
    assert name() == "Ada Lovelace"
    between = now()
    apply(graph, former_rules(graph))
    assert name() == "Ada"

    (id,) = read(driver).active
    with ThreadPoolExecutor(1) as executor:

        async def then(*moments: int) -> list[object]:
            profiles = Profiles(graph, rules, Lookup(graph, rules, executor), executor)
            found = [await profiles.golden_record(id, Freshness(as_of=at)) for at in moments]
            return [trait.chosen.value for golden in found for trait in golden if trait.name == "name"]

        assert asyncio.run(then(before, between, now())) == ["Ada", "Ada Lovelace", "Ada"]


def test_what_was_stopped_before_it_showed_is_shown_by_the_next_rules(graph: Graph, driver: neo4j.Driver) -> None:
    empty(driver)
    active_rules(graph, Rules(), now())
    others = replace(Rules(), traits={"name": TraitRule((Survivorship.LONGEST,))})
    rows = [
        a_row(id, "email:a@a.example", recordId=id, traits={"name": name}, observedAt=f"2026-01-0{id}T00:00:00Z")
        for id, name in (("1", "Ada Lovelace"), ("2", "Ada"))
    ]
    write_batch(graph, rows, Rules())

    def stop(what: str, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_rules.apply_rules(graph, others, now, "ann", "because", stop)
    apply(graph, replace(others, size_cap=900))
    stored = read(driver)
    assert [stored.profiles[id]["trait:name"] for id in stored.active] == ["Ada Lovelace"]


def test_segments_follow_what_other_rules_declare(graph: Graph, driver: neo4j.Driver) -> None:
    """Also those that name them; who goes on by the former rules defines and evaluates nothing."""
    empty(driver)
    active_rules(graph, Rules(), now())
    rows = [
        a_row(f"{n}", f"email:{n}@a.example", recordId=f"{n}", traits={"orders": 9 - n}, event={"type": "purchase"})
        for n in range(3)
    ]
    write_batch(graph, [*rows, a_row("again", "email:0@a.example", event={"type": "purchase"})], Rules())
    former = Segments(graph, Rules(), now)
    former.define("many", "", {"trait": {"name": "orders", "atLeast": 8}}, "ann")
    former.define("few", "", {"not": {"segment": {"name": "many"}}}, "ann")
    former.define("other", "", {"seen": {"withinDays": 9}}, "ann")

    def sizes() -> dict[str, int]:
        return {one.name: one.size for one in former.all(Freshness())}

    assert sizes() == {"many": 2, "few": 1, "other": 3}
    twice, once = (replace(Rules(), aggregates={"orders": Declared(days=days)}) for days in (30, None))
    apply(graph, twice)
    assert sizes() == {"many": 0, "few": 3, "other": 3}
    due = {one.name for one in former.all(Freshness()) if one.whole_at is not None}
    assert due >= {"many", "few"}
    for late in (former.catch_up, lambda: former.define("late", "", {"seen": {"withinDays": 9}}, "ann")):
        driver.execute_query("MATCH (s:Segment) SET s.whole_at = 0")
        with pytest.raises(RulesChanged):
            late()
    assert sizes() == {"many": 0, "few": 3, "other": 3}
    then = Segments(graph, twice, now)
    then.define("pairs", "", {"trait": {"name": "orders", "equals": 2}}, "ann")
    then.catch_up()
    assert sizes() == {"many": 0, "few": 3, "other": 3, "pairs": 1}
    assert verify(graph, twice).findings == {}
    apply(graph, former_rules(graph))
    assert sizes() == {"many": 2, "few": 1, "other": 3, "pairs": 0}
    apply(graph, once)
    assert sizes() == {"many": 0, "few": 3, "other": 3, "pairs": 1}


def test_segments_follow_the_class_of_a_namespace(graph: Graph, driver: neo4j.Driver) -> None:
    """Of one that the rules name, and of all others."""
    empty(driver)
    active_rules(graph, Rules(), now())
    write_batch(graph, [a_row("1", "social_id:a", "badge:b", "badge:c"), a_row("2", "email:a@a.example")], Rules())
    segments = Segments(graph, Rules(), now)
    for cls in (NamespaceClass.EMAIL, NamespaceClass.PHONE):
        segments.define(cls.lower(), "", {"identifiers": {"namespaceClass": cls, "atLeast": 1}}, "ann")
    segments.define("silent", "", {"not": {"segment": {"name": "phone"}}}, "ann")

    def sizes() -> list[int]:
        return [one.size for one in segments.all(Freshness())]

    assert sizes() == [1, 0, 2]
    named = {**Rules().namespaces, "social_id": replace(Rules().rule("social_id"), cls=NamespaceClass.PHONE)}
    others = replace(Rules().defaults, cls=NamespaceClass.EMAIL)
    for rules, expected in (
        (replace(Rules(), namespaces=named), [1, 1, 1]),
        (replace(Rules(), defaults=others), [2, 0, 2]),
        (replace(Rules(), namespaces=named, defaults=others), [2, 1, 1]),
        (Rules(), [1, 0, 2]),
    ):
        apply(graph, rules)
        assert sizes() == expected
        assert verify(graph, rules).findings == {}


def test_a_segment_that_asks_what_a_declared_number_cannot_answer_is_in_the_way(
    graph: Graph, driver: neo4j.Driver
) -> None:
    empty(driver)
    active_rules(graph, Rules(), now())
    segments = Segments(graph, Rules(), now)
    rules = replace(Rules(), aggregates={"orders": Declared()})
    for raw, words in (
        ({"trait": {"name": "orders", "startsWith": "x"}}, r"segment s .*: rule.trait.startsWith: startsWith is for"),
        ({"trait": {"name": "orders", "in": list(range(101))}}, "at most 100 conditions"),
    ):
        segments.define("s", "", raw, "ann")
        with pytest.raises(OtherRules, match=words):
            apply(graph, rules)
        segments.delete("s")
    apply(graph, rules)


def test_identifiers_that_would_be_normalised_otherwise_are_in_the_way(graph: Graph, driver: neo4j.Driver) -> None:
    start(graph, driver, Rules(), families(1))
    lower = replace(Rules().rule("loyalty_id"), normaliser=Normaliser.LOWER)
    others = replace(Rules(), namespaces={**Rules().namespaces, "loyalty_id": lower})
    with pytest.raises(OtherRules, match="the normaliser of loyalty_id cannot be changed"):
        apply(graph, others)
    cleaned = replace(Rules().rule("loyalty_id"), values={"a": "b"})
    with pytest.raises(OtherRules, match="the cleaning of loyalty_id cannot be changed"):
        apply(graph, replace(Rules(), namespaces={**Rules().namespaces, "loyalty_id": cleaned}))
    unused = replace(Rules().rule("social_id"), normaliser=Normaliser.LOWER)
    apply(graph, replace(Rules(), namespaces={**Rules().namespaces, "social_id": unused}))
    empty(driver)
    with pytest.raises(OtherRules, match="its first rules"):
        former_rules(graph)


def test_the_command_line(
    graph: Graph,
    driver: neo4j.Driver,
    neo4j_connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before = start(graph, driver, Rules(), families(1))
    (id,) = before.active
    monkeypatch.setenv("NEO4J_URI", neo4j_connection.uri)
    monkeypatch.setenv("NEO4J_USER", neo4j_connection.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_connection.password)
    monkeypatch.setenv("IDENTITY_GRAPH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("identity_graph.store.graph.WRITE_TIMEOUT", -1.0)
    file = tmp_path / "rules.toml"

    def run(*options: str, text: str = "[namespaces.email]\nlimit = 1\n", answer: str = "") -> tuple[int, str]:
        file.write_text(text)
        done = CliRunner().invoke(cli_rules.rules_app, ["apply", *options], input=answer)
        return done.exit_code, done.output

    status, out = run(str(file), "--dry-run", "--json")
    found = json.loads(out)
    assert (status, found["applied"], found["splits"], found["profiles"]) == (0, False, 1, [1, 2])
    (affected,) = found["affected"]
    assert (affected["id"], affected["size"], affected["parts"]) == (id, 3, 2)
    assert read(driver) == before
    status, out = run(str(file), answer="n\n")
    assert (status, "1 parts would come off" in out, id in out, "Nothing was changed" in out) == (0, True, True, True)
    assert read(driver) == before
    assert run(str(file), text="[namespaces.email]\nlimit = 'x'\n")[0] == 1
    assert run()[0] == run(str(file), "--previous")[0] == 2
    status, out = run(str(file), "--yes", "--reason", "one address a person")
    assert (status, "The graph follows the rules" in out) == (0, True)
    assert len(read(driver).active) == 2
    status, out = run("--previous", "--yes", "--json")
    assert (status, json.loads(out)["applied"]) == (0, True)
    back = read(driver)
    assert told(back) == told(before)
    lines = list(audit_entries(tmp_path / "data" / "audit"))
    assert {(line["does"], *line["what"]) for line in lines} == {("command", "rules apply")}
