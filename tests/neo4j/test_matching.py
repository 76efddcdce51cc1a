"""Matching in the service: the links that records get one by one are those of Splink's prediction over all of them."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import neo4j
import pytest
from sending import said
from stored import empty, read
from trained import Traits, activated, again, doubtful, model, people, records

from identity_graph.domain.decision import Accepted
from identity_graph.domain.evidence import Observation
from identity_graph.domain.matches import ProposalStatus, UnusableModel
from identity_graph.domain.rules import Rules
from identity_graph.matcher.compiled import Compiled
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import match_records, models
from identity_graph.services.declined import Declined
from identity_graph.services.match_records import Compared, Matching
from identity_graph.services.observe import ACTIVATING, new_id
from identity_graph.services.profiles import END_OF_TIME
from identity_graph.services.proposals import Proposals
from identity_graph.services.stewardship import Merges, Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph, Transaction

RULES = Rules()
Links = dict[str, tuple[str, float]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Compiled:
    return model(folder)


@pytest.fixture
def matching(graph: Graph, driver: neo4j.Driver, folder: Path, trained: Compiled) -> Matching:
    """Matching of an empty graph by a model that is active."""
    activated(graph, trained)
    return Matching(graph, RULES, folder, now)


def row(source: str, id: str, traits: Traits, version: int = 0) -> Observation:
    at = f"2026-01-01T00:00:{version:02}Z"
    return said(f"{source}-{id}-{version}", source=source, recordId=id, traits=traits, observedAt=at)


def links(driver: neo4j.Driver) -> Links:
    """Matched links that hold: state and weight by id."""
    found = read(driver).links.values()
    return {
        link["id"]: (link["state"], link["weight"])
        for link in found
        if link["kind"] == "MATCHED" and link["state"] != "RETRACTED"
    }


def predicted(matching: Matching, version: str) -> Links:
    """What Splink predicts for all records of the graph."""
    found = models.matches_of(matching.graph, matching.models, version, lambda _: None)
    return {id: ("ACTIVE" if m.conducts else "PROPOSED", m.evidence.weight) for id, m in found.items()}


def assert_same(found: Links, wanted: Links) -> None:
    assert found.keys() == wanted.keys()
    states = {"REFUSED": "ACTIVE"}
    wrong = [id for id in found if states.get(found[id][0], found[id][0]) != wanted[id][0]]
    assert wrong == []
    assert max(abs(found[id][1] - wanted[id][1]) for id in found) < 1e-9


def assert_whole(graph: Graph) -> None:
    verdict = verify(graph, RULES)
    assert verdict.holds, verdict.findings
    ((waiting,),) = graph.read("record/unmatched", unmatched=1, limit=10)
    assert waiting == []


def test_one_by_one_gives_what_all_at_once_would(matching: Matching, driver: neo4j.Driver, trained: Compiled) -> None:
    rows = [row(*record) for record in records(60)]
    Random(1).shuffle(rows)
    sizes = iter((1, 2, 7, 30, 1, 40, 300))
    while rows:
        size = next(sizes)
        write_batch(matching.graph, rows[:size], RULES, matching=matching)
        del rows[:size]
    found = links(driver)
    assert len(found) >= 50
    assert_same(found, predicted(matching, trained.version))
    assert_whole(matching.graph)


def test_where_each_source_holds_a_person_once_only_records_of_two_sources_are_compared(
    graph: Graph, driver: neo4j.Driver, folder: Path
) -> None:
    linking = model(folder, doubles=False)
    assert linking.across
    activated(graph, linking)
    matching = Matching(graph, RULES, folder, now)
    rows = [row(*record) for record in records(40)]
    rows += [row("crm", f"{id}b", traits) for source, id, traits in records(40) if source == "crm"]
    Random(1).shuffle(rows)
    for start in range(0, len(rows), 25):
        write_batch(graph, rows[start : start + 25], RULES, matching=matching)
    ends = [(link["a"], link["b"]) for link in read(driver).links.values() if link["kind"] == "MATCHED"]
    assert len(ends) >= 50
    assert all(a.partition("/")[0] != b.partition("/")[0] for a, b in ends)
    assert_same(links(driver), predicted(matching, linking.version))
    assert_whole(graph)


def test_concurrent_writers_miss_no_pair(matching: Matching, driver: neo4j.Driver, trained: Compiled) -> None:
    """The two records of each person are written at the same time, by two writers."""
    rows = [row(*record) for record in records(48)]
    half = len(rows) // 2
    shares = [rows[:half][0::2], rows[half:][0::2], rows[:half][1::2], rows[half:][1::2]]
    together = threading.Barrier(len(shares))

    def write(share: Sequence[Observation]) -> None:
        together.wait()
        for start in range(0, len(share), 4):
            write_batch(matching.graph, share[start : start + 4], RULES, matching=matching)

    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(write, shares))
    while matching.catch_up():
        pass
    assert_same(links(driver), predicted(matching, trained.version))
    assert_whole(matching.graph)


def test_what_a_crash_left_is_matched_later(
    matching: Matching, driver: neo4j.Driver, trained: Compiled, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the records' transaction, before the one that matches them."""
    rows = [row(*record) for record in records(20)]
    with monkeypatch.context() as crashed:
        crashed.setattr(Matching, "after", lambda *_: "")
        write_batch(matching.graph, rows, RULES, matching=matching)
    assert links(driver) == {}
    started = Matching(matching.graph, RULES, folder, now)
    while started.catch_up():
        pass
    assert len(links(driver)) >= 15
    assert_same(links(driver), predicted(started, trained.version))
    assert_whole(matching.graph)


def pair(trained: Compiled) -> tuple[Traits, Traits]:
    """Two records of a person that the model joins."""
    found = records(60)
    for (_, _, one), (_, _, other) in zip(found[:60], found[60:], strict=True):
        if trained.evidence(trained.fields(one), trained.fields(other)).weight > trained.auto + 3:
            return one, other
    raise AssertionError("the model joins nobody")


def test_a_changed_record_withdraws_its_links_and_splits_what_they_joined(
    matching: Matching, driver: neo4j.Driver, trained: Compiled
) -> None:
    one, other = pair(trained)
    stranger = next(t for _, _, t in records(60, seed=77) if t["last_name"] != one["last_name"])
    write_batch(matching.graph, [row("crm", "1", one), row("shop", "1", other)], RULES, matching=matching)
    joined = read(driver)
    assert [state for state, _ in links(driver).values()] == ["ACTIVE"]
    assert joined.home["record:crm/1"] == joined.home["record:shop/1"]
    write_batch(matching.graph, [row("shop", "1", stranger, version=1)], RULES, matching=matching)
    apart = read(driver)
    assert links(driver) == {}
    assert apart.home["record:crm/1"] != apart.home["record:shop/1"]
    (split,) = [c for c in apart.changes.values() if c["kind"] == "SPLIT"]
    assert apart.links[split["link"]]["state"] == "RETRACTED"
    assert_whole(matching.graph)
    write_batch(matching.graph, [row("shop", "1", other, version=2)], RULES, matching=matching)
    assert [state for state, _ in links(driver).values()] == ["ACTIVE"]
    assert_whole(matching.graph)


def test_a_record_that_changes_while_it_is_compared_is_compared_again(
    matching: Matching, driver: neo4j.Driver, trained: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair(trained)
    stranger = next(t for _, _, t in records(60, seed=77) if t["last_name"] != one["last_name"])
    write_batch(matching.graph, [row("crm", "1", one)], RULES, matching=matching)
    compare, changed = Matching.compare, []

    def meanwhile(self: Matching, model: Compiled, keys: Sequence[str], since: int | None) -> Compared:
        found = compare(self, model, keys, since)
        if not changed:
            changed.append(True)
            write_batch(matching.graph, [row("crm", "1", stranger, version=1)], RULES, matching=matching)
        return found

    monkeypatch.setattr(Matching, "compare", meanwhile)
    write_batch(matching.graph, [row("shop", "1", other)], RULES, matching=matching)
    assert changed
    assert links(driver).keys() == predicted(matching, trained.version).keys()
    assert_whole(matching.graph)


def test_without_a_model_a_batch_costs_what_it_did(graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    mine = threading.current_thread()
    # The first brings a trait, the second reads the catalogue that it is in.
    for id in ("first", "second"):
        write_batch(graph, [row("crm", id, {"first_name": "Ada"})], RULES)
    for name in ("run", "one", "do"):
        plain = getattr(Transaction, name)

        def noted(self: Transaction, statement: str, /, *, plain: Any = plain, **params: Any) -> Any:
            # Services of other tests look for what time has changed.
            if threading.current_thread() is mine:
                run.append(statement)
            return plain(self, statement, **params)

        monkeypatch.setattr(Transaction, name, noted)
    costs: list[list[str]] = []
    matching = Matching(graph, RULES, folder, now)
    assert matching.active() is None
    for n, given in enumerate((None, matching)):
        run.clear()
        write_batch(graph, [row("crm", str(n), {"first_name": "Ada"})], RULES, matching=given)
        costs.append(sorted(run))
    assert costs[0] == costs[1]


def test_activation_matches_what_was_there_and_previous_takes_it_back(
    graph: Graph, driver: neo4j.Driver, folder: Path, trained: Compiled
) -> None:
    write_batch(graph, [row(*record) for record in records(40)], RULES)
    before = read(driver).active
    matching = Matching(graph, RULES, folder, now)
    activated(graph, trained)
    graph.write(lambda tx: tx.do("model/activate", version=None, at=2, act=new_id(), actor="ann", reason="because"))
    wanted = models.matches_of(graph, folder, trained.version, lambda _: None)
    foreseen = models.difference(graph, RULES, wanted, lambda _: None)
    models.activate(matching, trained.version, lambda *_: None)
    assert_same(links(driver), predicted(matching, trained.version))
    assert_whole(graph)
    after = read(driver).active
    assert foreseen.merges == len(before) - len(after) > 0
    assert foreseen.splits == 0
    assert foreseen.joining == (0, sum(m.conducts for m in wanted.values()))

    assert models.named(graph, None, previous=True) is None
    back = models.difference(graph, RULES, {}, lambda _: None)
    models.activate(matching, None, lambda *_: None)
    assert (back.merges, back.splits) == (0, foreseen.merges)
    assert links(driver) == {}
    assert set(read(driver).active.values()) == set(before.values())
    assert_whole(graph)

    models.activate(matching, trained.version, lambda *_: None)
    assert_same(links(driver), predicted(matching, trained.version))
    assert_whole(graph)


def test_a_merge_stays_with_the_model_that_made_it(
    matching: Matching, driver: neo4j.Driver, folder: Path, trained: Compiled
) -> None:
    """Another model says the same of all pairs, and joins some more people."""
    rows = [row(*record) for record in records(40)]
    write_batch(matching.graph, rows[:60], RULES, matching=matching)

    def made() -> set[str]:
        return {id for id, c in read(driver).changes.items() if c["kind"] == "MERGED" and c["cause"] == "LINK"}

    def told_by() -> dict[str, list[Any]]:
        """The links that the lineage names, as it tells them of the first merges, by the change."""
        graph, ids = matching.graph, sorted(read(driver).active)
        (one_by_one,) = graph.read("lineage/changes", ids=sorted(first))[0]
        (pages,) = graph.read("lineage/page", rows=[[id, END_OF_TIME, ""] for id in ids], limit=100, at=END_OF_TIME)[0]
        paged = {entry[0]: entry[-1] for *_, entries in pages for entry in entries}
        found = {entry[0]: entry[-1] for entry in one_by_one}
        assert found == {id: paged[id] for id in found}
        # Id, both ends, kind and source; weight; probability and levels: as it was then, and no dates of today's.
        return {id: [*by[:5], by[9], *by[12:]] for id, by in found.items()}

    first = made()
    before = told_by()
    anew = folder / "anew"
    shutil.copytree(folder / trained.version, anew)
    told = json.loads((anew / "meta.json").read_text())
    (anew / "meta.json").write_text(json.dumps(told | {"version": "anew"}))
    activated(matching.graph, Compiled.load(folder, "anew"), at=2)
    models.activate(matching, "anew", lambda *_: None)
    write_batch(matching.graph, rows[60:], RULES, matching=matching)
    second = made() - first
    assert first
    assert second
    assert {link["source"] for link in read(driver).links.values() if link["kind"] == "MATCHED"} == {"anew"}
    other = "SET l.weight = 0.0, l.probability = 0.5, l.levels = '[]'"
    driver.execute_query("MATCH ()-[l:LINK {kind: 'MATCHED'}]->() " + other)  # pyright: ignore[reportArgumentType]
    assert told_by() == before
    assert {row[4] for row in before.values()} == {trained.version}
    stewards = Stewards(matching.graph, RULES, now)

    def of(model: str) -> set[str]:
        return {id for _, id in stewards.merges(Merges(model=model), 100, None)[0]}

    assert (of(trained.version), of("anew")) == (first, second)


def test_what_is_written_before_the_model_has_read_the_others_is_matched_with_them(
    graph: Graph, driver: neo4j.Driver, folder: Path, trained: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(*record) for record in records(40)]
    write_batch(graph, rows[::2], RULES)
    activated(graph, trained)
    graph.write(lambda tx: tx.do("model/activate", version=None, at=2, act=new_id(), actor="ann", reason="because"))
    pages, written = models.pages, []

    def meanwhile(graph: Graph) -> Iterator[list[list[Any]]]:
        if not written:
            # A service that has noticed the model compares them with what the model has read, which is nothing.
            written.append(True)
            write_batch(graph, rows[1::2], RULES, matching=Matching(graph, RULES, folder, now))
        return pages(graph)

    monkeypatch.setattr(models, "pages", meanwhile)
    models.activate(Matching(graph, RULES, folder, now), trained.version, lambda *_: None)
    assert written
    assert len(links(driver)) > 20
    assert_same(links(driver), predicted(Matching(graph, RULES, folder, now), trained.version))
    assert_whole(graph)


def test_an_activation_that_was_cut_off_goes_on(
    graph: Graph, driver: neo4j.Driver, folder: Path, trained: Compiled
) -> None:
    write_batch(graph, [row(*record) for record in records(30)], RULES)
    activated(graph, trained)
    matching = Matching(graph, RULES, folder, now)
    found = matching.active()
    assert found
    keys = [f"{source}/{id}" for source, id, _ in records(30)]
    matching.prepare(found, keys[:40], ACTIVATING)
    matching.match(found, keys[:10])
    models.activate(matching, trained.version, lambda *_: None)
    assert_same(links(driver), predicted(matching, trained.version))
    ((waiting,),) = graph.read("record/unmatched", unmatched=ACTIVATING, limit=10)
    assert waiting == []
    assert_whole(graph)


def proposed(matching: Matching, driver: neo4j.Driver, trained: Compiled) -> str:
    """The proposal about two records, `crm/1` and `shop/1`."""
    one, other = next(doubtful(trained))
    write_batch(matching.graph, [row("crm", "1", one), row("shop", "1", other)], RULES, matching=matching)
    ((id, (state, _)),) = links(driver).items()
    assert state == "PROPOSED"
    home = read(driver).home
    assert home["record:crm/1"] != home["record:shop/1"]
    return id


def test_a_proposal_that_is_merged_stays_merged(matching: Matching, driver: neo4j.Driver, trained: Compiled) -> None:
    id = proposed(matching, driver, trained)
    queue = Proposals(matching.graph, RULES, now)
    before = read(driver)
    foreseen, token = queue.decide(id, ProposalStatus.MERGED, "ann", "asked them", dry_run=True)
    assert [c.kind for c in foreseen.changes] == ["MERGED"]
    assert token == ""
    assert read(driver) == before
    decided, _ = queue.decide(id, ProposalStatus.MERGED, "ann", "asked them")
    after = read(driver)
    assert after.home["record:crm/1"] == after.home["record:shop/1"]
    (change,) = decided.changes
    stored = after.changes[change.id]
    assert (stored["cause"], stored["actor"], stored["reason"]) == ("STEWARD", "ann", "asked them")
    assert_whole(matching.graph)
    with pytest.raises(Declined) as refused:
        queue.decide(id, ProposalStatus.KEPT_APART, "bob", "no")
    assert refused.value.code == "ALREADY_DECIDED"
    models.activate(matching, None, lambda *_: None)
    after = read(driver)
    assert after.home["record:crm/1"] == after.home["record:shop/1"]
    assert_whole(matching.graph)


def test_a_source_that_holds_each_person_once_keeps_its_records_apart(
    graph: Graph, driver: neo4j.Driver, folder: Path, trained: Compiled
) -> None:
    """Two rows of the CRM, and one of the shop that could be either: it goes to one of them, in any order."""
    one, other = pair(trained)
    rows = [row("crm", "1", one), row("crm", "2", one), row("shop", "3", other)]
    for rules, many in ((RULES, 1), (replace(RULES, deduplicated_sources=frozenset({"crm"})), 2)):
        found: set[tuple[str, ...]] = set()
        for order in permutations(rows):
            empty(driver)
            activated(graph, trained)
            matching = Matching(graph, rules, folder, now)
            matching.active()
            for o in order:
                write_batch(graph, [o], rules, matching=matching)
            stored = read(driver)
            assert len(stored.active) == many
            found.add(tuple(sorted("+".join(sorted(keys)) for keys in stored.active.values())))
            assert verify(graph, rules).holds
        assert len(found) == 1


def test_what_a_person_keeps_apart_no_match_joins(matching: Matching, driver: neo4j.Driver, trained: Compiled) -> None:
    id = proposed(matching, driver, trained)
    queue = Proposals(matching.graph, RULES, now)
    queue.decide(id, ProposalStatus.KEPT_APART, "ann", "twins")
    traits = next(doubtful(trained))[0]
    write_batch(matching.graph, [row("shop", "1", traits, version=1)], RULES, matching=matching)
    stored = read(driver)
    assert stored.home["record:crm/1"] != stored.home["record:shop/1"]
    assert stored.links[id]["state"] == "REFUSED"
    assert stored.links[id]["reason"] == "CANNOT_LINK"
    assert_whole(matching.graph)


def test_a_proposal_whose_record_changed_is_withdrawn(
    matching: Matching, driver: neo4j.Driver, trained: Compiled
) -> None:
    id = proposed(matching, driver, trained)
    queue = Proposals(matching.graph, RULES, now)
    write_batch(matching.graph, [row("shop", "1", {"first_name": "Nobody"}, version=1)], RULES, matching=matching)
    assert links(driver) == {}
    with pytest.raises(Declined) as refused:
        queue.decide(id, ProposalStatus.MERGED, "ann", "asked them")
    assert refused.value.code == "UNKNOWN_PROPOSAL"


def test_training_knows_who_shares_an_identifier_that_only_one_person_has(graph: Graph) -> None:
    """A mailbox is no such thing, and neither junk nor a refused link tells anything."""
    sent = [
        ("crm", "1", {"user_id": "u1", "email": "a@example.com"}),
        ("shop", "1", {"user_id": "u1"}),
        ("web", None, {"user_id": "u1"}),
        ("shop", "2", {"email": "a@example.com"}),
        ("crm", "3", {"user_id": "u3", "crm_id": "c3"}),
        ("shop", "3", {"crm_id": "c3", "user_id": "u4"}),
        ("crm", "5", {"user_id": "anonymous"}),
        ("shop", "5", {"user_id": "anonymous"}),
        ("crm", "6", {"crm_id": "c6"}),
    ]
    rows = [
        said(f"o{n}", source=source, recordId=id, traits={"first_name": "Ada"},
             identifiers=[{"namespace": name, "value": value} for name, value in keys.items()])
        for n, (source, id, keys) in enumerate(sent)
    ]  # fmt: skip
    write_batch(graph, rows, RULES)
    known = models.known_records(graph, RULES)
    assert known == {
        "crm/1": "user_id:u1",
        "shop/1": "user_id:u1",
        "web#user_id:u1": "user_id:u1",
        "crm/3": "user_id:u3",
        "shop/3": "crm_id:c3",
        "crm/6": "crm_id:c6",
    }


def test_the_commands_train_activate_and_go_back(
    graph: Graph, driver: neo4j.Driver, neo4j_connection: Connection, tmp_path: Path
) -> None:
    write_batch(graph, [row(*record) for record in records(150)], RULES)
    to = neo4j_connection
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NEO4J_", "IDENTITY_GRAPH_"))}
    env = clean | {"NEO4J_URI": to.uri, "NEO4J_USER": to.user, "NEO4J_PASSWORD": to.password}
    env |= {"IDENTITY_GRAPH_DATA_DIR": str(tmp_path)}

    def match(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("identity-graph")), "match", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def told(*words: str) -> dict[str, Any]:
        done = match(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    version = told("train", "--from-graph")["version"]
    shown = told("activate", version)
    assert (shown["applied"], shown["merges"] > 50) == (False, True)
    assert links(driver) == {}
    assert told("activate", version, "--yes")["applied"]
    found = links(driver)
    assert len(found) == shown["joining"][1] + shown["proposals"][1]
    again = told("activate", version)
    assert (again["merges"], again["splits"]) == (0, 0)
    back = told("activate", "--previous", "--yes")
    assert (back["model"], back["splits"]) == (None, shown["merges"])
    assert links(driver) == {}
    assert_whole(graph)
    for words, says in (
        (("activate", "nothing"), version),
        (("activate", "--previous"), "no model is active"),
        (("train", "--from-graph", "--model", "x"), "--from-graph"),
        (("train",), "FILES"),
    ):
        failed = match(*words)
        assert failed.returncode in (1, 2)
        assert says in failed.stderr
        assert "Traceback" not in failed.stderr


def test_a_model_that_is_not_here_stops_the_start_but_no_write(
    matching: Matching,
    driver: neo4j.Driver,
    trained: Compiled,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(UnusableModel, match=f"{trained.version} is not in"):
        Matching(matching.graph, RULES, tmp_path, now).active()
    assert matching.active()
    monkeypatch.setattr(match_records, "REFRESH", 0.0)
    matching.graph.write(
        lambda tx: tx.do("model/keep", version="elsewhere", trained_at=1, auto=9.0, review=5.0, text="")
    )
    matching.graph.write(
        lambda tx: tx.do("model/activate", version="elsewhere", at=3, act=new_id(), actor="ann", reason="because")
    )
    answers, _ = write_batch(matching.graph, [row("crm", "1", {"first_name": "Ada"})], RULES, matching=matching)
    assert isinstance(answers[0], Accepted)
    assert "elsewhere is not in" in caplog.text


@pytest.fixture
def narrow(graph: Graph, folder: Path, trained: Compiled) -> Compiled:
    """A model that is active and compares records only where no more than four share a blocking value."""
    copied = folder / "narrow"
    if not copied.exists():
        shutil.copytree(folder / trained.version, copied)
        told = json.loads((copied / "meta.json").read_text())
        (copied / "meta.json").write_text(json.dumps(told | {"version": "narrow", "block_cap": 4}))
    activated(graph, found := Compiled.load(folder, "narrow"))
    return found


def crowded(count: int) -> list[tuple[str, str, Traits]]:
    """Records of people, of which some are written down three or six times."""
    found = records(count)
    more = [("web", f"{n}-{k}", again(t, k)) for n, (_, _, t) in enumerate(found[:count]) for k in range(n % 3 * 2)]
    return [*found, *more]


def all_matched(matching: Matching, driver: neo4j.Driver, model: Compiled) -> None:
    """What was put off is done, and the links are those of a prediction over all records."""
    while matching.catch_up():
        pass
    assert_same(links(driver), predicted(matching, model.version))
    assert_whole(matching.graph)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_value_that_comes_to_be_shared_by_too_many_is_left_out_in_any_order(
    graph: Graph, driver: neo4j.Driver, folder: Path, narrow: Compiled, size: int
) -> None:
    """One at a time the first of a crowd were compared before it was one; all at once none would have been."""
    matching = Matching(graph, RULES, folder, now)
    rows = [row(*record) for record in crowded(9)]
    Random(size).shuffle(rows)
    for start in range(0, len(rows), size):
        write_batch(graph, rows[start : start + size], RULES, matching=matching)
    ((crowds,),) = driver.execute_query("MATCH (c:Crowd) RETURN count(c)").records
    assert crowds > 5
    all_matched(matching, driver, narrow)
    assert links(driver)


def test_without_a_second_look_the_order_would_tell(
    graph: Graph, driver: neo4j.Driver, folder: Path, narrow: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    matching = Matching(graph, RULES, folder, now)
    do = Transaction.do
    monkeypatch.setattr(
        Transaction, "do", lambda tx, name, **params: None if "crowd" in name else do(tx, name, **params)
    )
    for record in crowded(9):
        write_batch(graph, [row(*record)], RULES, matching=matching)
    while matching.catch_up():
        pass
    assert links(driver).keys() > predicted(matching, narrow.version).keys()


def test_a_crowd_that_records_leave_is_compared_again(
    graph: Graph, driver: neo4j.Driver, folder: Path, narrow: Compiled
) -> None:
    """They change, or what was said of them is taken back."""
    matching = Matching(graph, RULES, folder, now)
    rows = crowded(6)
    write_batch(graph, [row(*record) for record in rows], RULES, matching=matching)
    all_matched(matching, driver, narrow)
    before = links(driver)
    strangers = people(40, seed=77)[-4:]
    changed = [record for record in rows if record[0] == "web"][:4]
    for (source, id, _), traits in zip(changed, strangers, strict=True):
        write_batch(graph, [row(source, id, traits, version=1)], RULES, matching=matching)
        all_matched(matching, driver, narrow)
    between = links(driver)
    assert between.keys() - before.keys()
    stewards = Stewards(graph, RULES, now, matching)
    for source, id, _ in [record for record in rows if record[0] == "web"][4:7]:
        stewards.retract(Observations(ids=(f"{source}-{id}-0",)), 1, "ann", "because")
        all_matched(matching, driver, narrow)
    assert links(driver).keys() - between.keys()


def test_an_activation_notes_what_is_shared_by_too_many(
    graph: Graph, driver: neo4j.Driver, folder: Path, narrow: Compiled
) -> None:
    graph.write(lambda tx: tx.do("model/activate", version=None, at=2, act=new_id(), actor="ann", reason="because"))
    write_batch(graph, [row(*record) for record in crowded(6)], RULES)
    matching = Matching(graph, RULES, folder, now)
    models.activate(matching, narrow.version, lambda *_: None)
    all_matched(matching, driver, narrow)
    for n in range(3):
        write_batch(graph, [row("pos", f"{n}", again(people(6)[0], n))], RULES, matching=matching)
    all_matched(matching, driver, narrow)


def test_a_value_that_too_many_share_is_told_and_left_out(
    matching: Matching, driver: neo4j.Driver, trained: Compiled, caplog: pytest.LogCaptureFixture
) -> None:
    """A block over the cap makes no pairs, in the graph as in the prediction."""
    traits = {"first_name": "Ada", "last_name": "Lovelace"}
    rows = [row("crm", str(n), traits) for n in range(trained.block_cap + 5)]
    write_batch(matching.graph, rows, RULES, matching=matching)
    write_batch(matching.graph, [row("shop", "1", traits)], RULES, matching=matching)
    assert "are left out of the comparison" in caplog.text
    assert not [link for link in read(driver).links.values() if "shop/1" in (link["record_a"], link["record_b"])]
