"""Scores on a real database: learnt from journeys, judged on a later time, written as traits that go along."""

import asyncio
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import neo4j
import pytest
from sending import said
from stored import read
from typer.testing import CliRunner

from identity_graph.cli_scores import score_app
from identity_graph.domain.intake import EPOCH
from identity_graph.domain.rules import Rules
from identity_graph.domain.scores import DAY, BadScore, Task
from identity_graph.domain.survivorship import AGGREGATE
from identity_graph.neo4j_runtime import Connection
from identity_graph.services import scores
from identity_graph.services.lookup import Freshness, Lookup
from identity_graph.services.overrides import Override
from identity_graph.services.profiles import Profiles
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph

RULES = Rules()
PEOPLE, DAYS = 120, 60
TASK = Task("buys_soon", "purchase", 15)
END = 20_000
"""The day of the last event, since 1970."""


def person(n: int) -> str:
    return f"cookie_id:u{n:03}"


def happened(id: str, n: int, day: float, type: str, value: float | None = None) -> Any:
    properties = {} if value is None else {"value": value}
    at = (EPOCH + timedelta(days=END - DAYS + day)).isoformat()
    return said(id, person(n), observedAt=at, event={"type": type, "properties": properties})


def journeys(seed: int = 7) -> list[Any]:
    """Every other person looks around a lot, and buys now and then; the others seldom do either."""
    drawn = random.Random(seed)
    found: list[Any] = [happened("last", 0, DAYS, "page"), happened("first", 0, 0, "page")]
    for n in range(PEOPLE):
        found.append(happened(f"{n}-0", n, drawn.uniform(0, 5), "page"))
        for day in range(5, DAYS):
            keen = n % 2 == 0
            if drawn.random() < (0.3 if keen else 0.05):
                found.append(happened(f"{n}-page-{day}", n, day + drawn.random() * 0.9, "page"))
            if drawn.random() < (0.08 if keen else 0.01):
                found.append(happened(f"{n}-buy-{day}", n, day + drawn.random() * 0.9, "purchase", 10))
    return found


@pytest.fixture(scope="module")
def told() -> list[Any]:
    return journeys()


@pytest.fixture
def full(graph: Graph, told: list[Any]) -> Graph:
    write_batch(graph, told, RULES)
    return graph


@pytest.fixture
def profiles(graph: Graph) -> Iterator[Profiles]:
    with ThreadPoolExecutor(1) as readers:
        yield Profiles(graph, RULES, Lookup(graph, RULES, readers), readers)


def shown(profiles: Profiles, id: str, as_of: int | None = None) -> dict[str, tuple[Any, str]]:
    """A golden record but for what events add up to."""
    found = asyncio.run(profiles.golden_record(id, Freshness(as_of=as_of)))
    said = {trait.name: (trait.chosen.value, trait.chosen.source) for trait in found}
    return {name: one for name, one in said.items() if one[1] != AGGREGATE}


def test_a_score_is_learnt_judged_on_a_later_time_and_described(full: Graph, tmp_path: Path) -> None:
    trained = scores.train(full, TASK, tmp_path, now())
    judged = trained.judged
    assert judged.people == PEOPLE
    assert judged.auc > 0.7
    assert judged.brier < judged.brier_base
    assert sum(b.people for b in judged.bins) == PEOPLE
    about = json.loads(trained.description.read_bytes())["trained"]
    assert about["learnt_at"] + 2 * TASK.span == about["judged_at"] + TASK.span == about["until"] == END * DAY
    assert scores.load(tmp_path, TASK.name) == trained.model
    page = trained.report.read_text()
    assert "Brier score" in page
    assert "<script" not in page
    assert "u001" not in page


def test_nothing_is_foretold_where_there_is_nothing_to_know(graph: Graph, told: list[Any], tmp_path: Path) -> None:
    """Who buys is drawn anew for every fortnight: a model that saw the outcome would know."""
    drawn = random.Random(3)
    moments = [DAYS - 16, DAYS - 16 - 15, 2]
    found = [happened("last", 0, DAYS, "page"), happened("first", 0, 0, "page")]
    found += [happened(f"{n}-page", n, 1, "page") for n in range(PEOPLE)]
    for day in moments:
        found += [happened(f"{n}-{day}", n, day + 5, "purchase") for n in range(PEOPLE) if drawn.random() < 0.5]
    write_batch(graph, found, RULES)
    assert 0.3 < scores.train(graph, TASK, tmp_path, now()).judged.auc < 0.7


def test_scores_are_traits_that_segments_follow_and_that_go_along(
    full: Graph, driver: neo4j.Driver, profiles: Profiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "PAGE", 50)
    model = scores.train(full, TASK, tmp_path, END * DAY).model
    segments = Segments(full, RULES, now)
    rule = {"trait": {"name": "buys_soon", "atLeast": 0.5}}
    segments.define("likely", "", rule, "test")
    seen = read(driver).identifiers
    applied = scores.apply(full, RULES, tmp_path, TASK.name, lambda: END * DAY)
    assert (applied.profiles, applied.changed) == (PEOPLE, PEOPLE)
    assert read(driver).identifiers == seen, "nobody was seen because a model looked at them"
    found = {id: p.get("trait:buys_soon") for id, p in read(driver).profiles.items()}
    likely = {id for id, p in found.items() if p is not None and p >= 0.5}
    assert 0 < len(likely) < PEOPLE
    members, _, total = segments.members("likely", 1_000, "", Freshness())
    assert ({id for id, _ in members}, total) == (likely, len(likely))
    ranked = sorted(found, key=lambda id: found[id] or 0)
    low, high = ranked[0], ranked[-1]
    assert shown(profiles, high) == {
        "buys_soon": (found[high], "score:buys_soon"),
        "buys_soon_model": (model.version, "score:buys_soon"),
    }
    assert verify(full, RULES).holds
    (listed,) = (trait for trait in segments.catalogue(Freshness())[0] if trait.name == "buys_soon")
    assert (str(listed.kind), listed.types, listed.fill_rate) == ("SCORE", ["NUMBER"], 1.0)

    # The same again says nothing new.
    assert scores.apply(full, RULES, tmp_path, TASK.name, lambda: END * DAY).changed == 0
    # What is merged shows one of both, what is parted again each its own, and the next run scores who is there.
    stewards = Stewards(full, RULES, now)
    apart = now()
    done, _ = stewards.merge([low, high], None, "ann", "because")
    assert done.profile
    assert shown(profiles, done.profile.id)["buys_soon"][0] in (found[low], found[high])
    (merge,) = (change.id for change in done.changes if change.kind == "MERGED")
    again = scores.apply(full, RULES, tmp_path, TASK.name, now)
    assert again.profiles == PEOPLE - 1
    assert len([s for s in standing(driver) if s["profile"] == done.profile.id]) == 1
    stewards.undo(merge, None, "ann", "because")
    left = {s["profile"] for s in standing(driver)} & {low, high}
    assert len(left) == 1, "a score stays with the identifier that it is anchored by"
    for id in (low, high):
        assert shown(profiles, id, apart)["buys_soon"][0] == found[id]
        assert ("buys_soon" in shown(profiles, id)) is (id in left)


def standing(driver: neo4j.Driver) -> list[dict[str, Any]]:
    text = "MATCH (s:Score)-[:SCORES]->()-[:MEMBER_OF]->(p) WHERE s.until IS NULL RETURN s {.*, profile: p.id} AS s"
    return [row["s"] for row in driver.execute_query(text).records]


def test_an_application_that_was_stopped_goes_on(
    full: Graph, driver: neo4j.Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "PAGE", 50)
    scores.train(full, TASK, tmp_path, now())

    class Stopped(Exception):
        pass

    def stop(many: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        scores.apply(full, RULES, tmp_path, TASK.name, now, stop)
    assert len(standing(driver)) == 50
    pages: list[int] = []
    applied = scores.apply(full, RULES, tmp_path, TASK.name, now, pages.append)
    assert pages == [100, PEOPLE]
    assert (applied.profiles, applied.changed, len(standing(driver))) == (PEOPLE, PEOPLE, PEOPLE)


@pytest.mark.parametrize(
    ("task", "people", "message"),
    [
        (Task("s", "purchse", 15), PEOPLE, "no event of the type purchse; did you mean purchase"),
        (Task("s", "purchase", 0), PEOPLE, "--within-days: a whole number from 1 to 365 is expected, not 0"),
        (Task("Score!", "purchase", 5), PEOPLE, "NAME: a score's name has"),
        (Task("s", "Purchase", 5), PEOPLE, "--event: a type has"),
        (Task("lifetime_value", "purchase", 15), PEOPLE, "NAME: lifetime_value is what events add up to"),
        (Task("s", "purchase", 30), PEOPLE, "the history is too short: events span 60 days, and 90 are needed"),
        (Task("s", "purchase", 15), 20, "too few profiles to learn from: 20, and 50 are needed"),
        (Task("s", "purchase", 1), PEOPLE, "did purchase within 1 days"),
    ],
)
def test_what_cannot_be_learnt_is_refused_with_what_is_missing(
    graph: Graph, told: list[Any], tmp_path: Path, task: Task, people: int, message: str
) -> None:
    names = {person(n) for n in range(people)}
    write_batch(graph, [o for o in told if o.identifiers[0].key in names], RULES)
    with pytest.raises(BadScore) as caught:
        scores.train(graph, task, tmp_path, now())
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_score_hides_no_trait_that_others_say(full: Graph, driver: neo4j.Driver, tmp_path: Path) -> None:
    traits = {"plan": "pro", "car_model": "2CV", "address": {"city": "Delft"}}
    write_batch(full, [said("t", person(0), source="crm", recordId="1", traits=traits)], RULES)
    for name, taken in (("plan", "plan"), ("car", "car_model"), ("address", "address")):
        with pytest.raises(BadScore, match=f"NAME: crm says a trait {taken}, "):
            scores.train(full, Task(name, "purchase", 15), tmp_path, now())
    scores.train(full, TASK, tmp_path, now())
    scores.apply(full, RULES, tmp_path, TASK.name, now)
    Stewards(full, RULES, now).override(min(read(driver).active), Override(TASK.name, 1), None, "ann", "because")
    assert scores.train(full, TASK, tmp_path, now()), "its own trait and a person's word on it are in nobody's way"
    write_batch(full, [said("u", person(0), source="crm", recordId="1", traits={TASK.name: 1})], RULES)
    with pytest.raises(BadScore, match=f"NAME: crm says a trait {TASK.name}, "):
        scores.apply(full, RULES, tmp_path, TASK.name, now)


def test_the_command_line_of_scores(
    full: Graph, neo4j_connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEO4J_URI", neo4j_connection.uri)
    monkeypatch.setenv("NEO4J_USER", neo4j_connection.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_connection.password)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(score_app, [*arguments, "--data-dir", str(tmp_path), "--json"])

    trained = run("train", "buys_soon", "--event", "purchase", "--within-days", "15", "--apply")
    assert trained.exit_code == 0, trained.output
    assert json.loads(trained.stdout)["applied"]["profiles"] == PEOPLE
    assert json.loads(run("apply", "buys_soon").stdout)["profiles"] == PEOPLE
    unknown = run("apply", "buys_son")
    assert (unknown.exit_code, "did you mean buys_soon?" in unknown.output) == (2, True)
    short = run("train", "s", "--event", "purchase", "--within-days", "300")
    assert (short.exit_code, "the history is too short" in short.output) == (1, True)
    monkeypatch.setattr(scores, "find_spec", lambda name: None)
    missing = run("train", "s", "--event", "purchase")
    assert (missing.exit_code, "install identity-graph[score]" in missing.output) == (1, True)
