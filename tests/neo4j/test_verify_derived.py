"""`verify` derives golden values, tallies and memberships in segments again, and tells what differs, but no values."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import neo4j
import orjson
import pytest
from sending import said
from stored import read

from identity_graph.domain.intake import EPOCH
from identity_graph.domain.rules import Limits, Rules
from identity_graph.services.catalogue import read_catalogue
from identity_graph.services.expire import expire
from identity_graph.services.live import show_again
from identity_graph.services.lookup import NOW
from identity_graph.services.overrides import Override
from identity_graph.services.segments import SETTLED, Segments
from identity_graph.services.stewardship import Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph, Transaction

RULES = Rules()
DAY = round(timedelta(days=1).total_seconds() * 1e6)
TODAY = now()
WHO = ("ann", "because")
ADA, BOB, CY = "user_id:ada", "user_id:bob", "email:cy@x.example"


def happened(id: str, *keys: str, ago: int = 0, type: str | None = None, **more: Any) -> Any:
    at = (EPOCH + timedelta(microseconds=TODAY, days=-ago)).isoformat()
    event = {"event": {"type": type, "properties": {"value": 2}}} if type else {}
    return said(id, *keys, observedAt=at, **event, **more)


@pytest.fixture
def lived(graph: Graph) -> Graph:
    """A graph in which everything happened that can move what is derived."""
    stewards, segments = Stewards(graph, RULES, now), Segments(graph, RULES, now)
    batch = [
        happened(
            "a1", ADA, "device_id:0a1b-ada", type="page", traits={"name": "Ada", "born": "1815-12-10"}, recordId="1"
        ),
        happened("a2", ADA, ago=40, type="purchase"),
        happened("a3", ADA, ago=3, type="purchase"),
        happened("b1", BOB, "cookie_id:b", type="page", traits={"name": "Bob", "vip": True, "likes": ["tea"]}),
        happened("b2", BOB, ago=1, traits={"name": "Bobby", "vip": 1}),
        happened("c1", CY, "device_id:0a1b-cy", ago=9, type="page", traits={"name": "Cy"}),
        happened("r1", "user_id:never", "cookie_id:b2", type="page", traits={"name": "Nobody"}),
    ]
    write_batch(graph, batch, RULES)
    segments.define("buyers", "", {"trait": {"name": "lifetime_value", "atLeast": 1}}, "test")
    segments.define("recent", "", {"seen": {"withinDays": 5}}, "test")
    stewards.override(home(graph, CY), Override("name", "Cyrus"), None, *WHO)
    graph.write(score)
    done, _ = stewards.merge([home(graph, BOB), home(graph, CY)], None, *WHO)
    stewards.undo(next(c.id for c in done.changes if c.kind == "MERGED"), None, *WHO)
    stewards.split(home(graph, ADA), {"device_id:0a1b-ada"}, None, *WHO)
    stewards.retract(Observations(ids=("r1",)), 1, *WHO)
    expire(graph, replace(RULES, retention={"purchase": 30}), now(), lambda type, many: None)
    return graph


def home(graph: Graph, key: str) -> str:
    return graph.read("lookup/now", keys=[key])[0][0][0][2]


def score(tx: Transaction) -> None:
    """A model's word on one person, written as an application of it does."""
    element = tx.run("segment/profile_element", id=tx.one("lookup/now", keys=[ADA])[0][2])[0][0]
    traits = {"buys_soon": 0.5}
    tx.one("score/write", rows=[[element, ADA, orjson.dumps(traits).decode()]], source="score:buys_soon", at=now())
    show_again(tx, [element], RULES, now(), [("score:buys_soon", traits)])


def found(graph: Graph) -> dict[str, list[str]]:
    return {what: one.examples for what, one in verify(graph, RULES).findings.items()}


def test_what_happened_holds(lived: Graph, driver: neo4j.Driver) -> None:
    assert found(lived) == {}
    stored = read(driver)
    assert sorted(p["trait:name"] for p in stored.profiles.values() if "trait:name" in p) == ["Ada", "Bob", "Cyrus"]
    assert {t.get("forgotten") for t in stored.tallies.values()} == {None, 1}
    counts = verify(lived, RULES).counts
    assert (counts["events"], counts["segment_memberships"]) == (4, 4)


GOLDEN = "golden value that does not follow from the records"
TALLY = "tally that does not follow from the events"
EVENT = "event that no tally counts"
LEFT_OUT = "segment member that the rule leaves out"
TAKEN_IN = "no segment member though the rule takes it in"
MISNAMED = "membership of a segment that names another profile"
ANCHOR = "score or override without the anchor that it names"
OF = "MATCH (:Identifier {key: $key})-[:MEMBER_OF]->(p:Profile) "
ENTER = "CREATE (p)-[:IN_SEGMENT {member: s.name + '\t' + p.id}]->(s)"
AT = "MATCH (i:Identifier {key: $key})<-[:COUNTS]-(t:Tally) "

#: What is done to whose, and how it is found: the finding, and what it says of that person. Each row is apart.
HARM: list[list[tuple[str, str, str, str]]] = [
    [
        (OF + "SET p.`trait:name` = 'Eve'", ADA, GOLDEN, "name"),
        (OF + "SET p.`date:born` = 1", ADA, GOLDEN, "born"),
        (OF + "SET p.`trait:vip` = 1.0", BOB, GOLDEN, "vip"),
        (OF + "SET p.`trait:name` = 'Cy'", CY, GOLDEN, "name"),
        (AT + "WHERE t.type = 'page' SET t.count = t.count + 1", CY, TALLY, "page from web"),
        (AT + "WHERE t.type = 'purchase' SET t.amount = t.amount - 1", ADA, TALLY, "purchase from web"),
        (OF + "MATCH (p)-[m:IN_SEGMENT]->({name: 'buyers'}) DELETE m", ADA, TAKEN_IN, "buyers"),
    ],
    [
        (OF + "SET p.`trait:name` = null", ADA, GOLDEN, "name"),
        (OF + "SET p.`trait:buys_soon` = 0.75", ADA, GOLDEN, "buys_soon"),
        (OF + "SET p.`trait:likes` = ['tea', 'jam']", BOB, GOLDEN, "likes"),
        (OF + "SET p.`trait:other` = 'x'", CY, GOLDEN, "other"),
        (AT + "WHERE t.type = 'page' SET t.first = t.first - 1", BOB, TALLY, "page from web"),
        (AT + "WHERE t.type = 'purchase' SET t.last = t.last - 1", ADA, TALLY, "purchase from web"),
        (OF + "MATCH (s:Segment {name: 'buyers'}) " + ENTER, BOB, LEFT_OUT, "buyers"),
    ],
    [
        (AT + "WHERE t.type = 'purchase' SET t.forgotten = null", ADA, TALLY, "purchase from web"),
        ("MATCH (e:Event {by: $key, type: 'page'}) SET e.amount = 1", BOB, TALLY, "page from web"),
        ("MATCH (e:Event {by: $key, type: 'page'}) REMOVE e:Event", CY, TALLY, "page from web"),
        (OF + "MATCH (p)-[m:IN_SEGMENT]->({name: 'recent'}) DELETE m", BOB, TAKEN_IN, "recent"),
        (OF + "MATCH (p)-[m:IN_SEGMENT]->({name: 'buyers'}) SET m.member = 'x'", ADA, MISNAMED, "buyers"),
    ],
    [
        (AT + "WHERE t.type = 'page' DETACH DELETE t", BOB, EVENT, "page from web"),
    ],
]


@pytest.mark.parametrize("harm", HARM)
def test_what_is_changed_by_hand_is_found_and_only_that(
    lived: Graph, driver: neo4j.Driver, harm: list[tuple[str, str, str, str]]
) -> None:
    wanted: dict[str, set[str]] = defaultdict(set)
    for text, key, finding, name in harm:
        result = driver.execute_query(text, key=key)  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert result.summary.counters.contains_updates, f"nothing was changed by {text}"
        wanted[finding].add(f"profile {home(lived, key)}: {name}")
    assert {what: set(where) for what, where in found(lived).items()} == wanted


def test_a_score_elsewhere_is_found(lived: Graph, driver: neo4j.Driver) -> None:
    """It shows where it is, as records do, so that who it is about is what tells."""
    driver.execute_query(
        "MATCH (s:Score)-[r:SCORES]->(), (i:Identifier {key: $key}) DELETE r CREATE (s)-[:SCORES]->(i)", key=BOB
    )
    wrong = found(lived)
    assert wrong.keys() == {ANCHOR, GOLDEN}
    assert len(wrong[ANCHOR]) == 1
    assert ADA not in str(wrong)
    assert set(wrong[GOLDEN]) == {f"profile {home(lived, key)}: buys_soon" for key in (ADA, BOB)}


def test_what_is_due_is_no_mistake(lived: Graph) -> None:
    """Who leaves by time alone does so when the scheduler looks; a look from the future sees nothing wrong."""
    later = now() + 30 * DAY
    assert verify(lived, RULES, clock=lambda: later).holds
    segments = Segments(lived, RULES, lambda: later)
    assert segments.catch_up() > 0
    assert verify(lived, RULES, clock=lambda: later).holds
    assert segments.members("recent", 10, "", NOW)[2] == 0


def test_a_definition_is_judged_once_it_was_followed(lived: Graph, driver: neo4j.Driver) -> None:
    driver.execute_query(
        "MATCH (p:Profile)-[m:IN_SEGMENT]->(s:Segment {name: 'buyers'}) DELETE m "
        "SET s.whole_at = s.settles_at - $settled",
        settled=SETTLED,
    )
    assert found(lived) == {}
    Segments(lived, RULES, now).catch_up()
    assert found(lived) == {}
    assert Segments(lived, RULES, now).members("buyers", 10, "", NOW)[2] == 1


def test_a_name_beyond_those_of_a_full_source_may_show_later(graph: Graph) -> None:
    few = replace(RULES, limits=Limits(trait_names=1))
    write_batch(graph, [happened("o1", ADA, source="crm", traits={"a": 1, "b": 2})], few)
    write_batch(graph, [happened("o2", BOB, source="pos", traits={"b": 2})], few)
    assert graph.read_many(read_catalogue).full == {"crm"}
    assert found(graph) == {}


def test_true_and_one_are_two_values(graph: Graph, driver: neo4j.Driver) -> None:
    write_batch(graph, [happened("o1", ADA, ago=1, recordId="1", traits={"vip": True, "all": [True]})], RULES)
    write_batch(graph, [happened("o2", ADA, recordId="1", traits={"vip": 1, "all": [1]})], RULES)
    (profile,) = read(driver).profiles.values()
    assert repr((profile["trait:vip"], profile["trait:all"])) == "(1.0, [1.0])"
