"""`verify` passes on what the write path made, and finds each invariant that is broken by hand."""

import json
from collections.abc import Sequence

import neo4j
import pytest
from sending import said
from stored import problems, read
from typer import Typer
from typer.testing import CliRunner

from identity_graph import cli_ingest
from identity_graph.domain.evidence import Observation
from identity_graph.domain.rules import Rules
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.stewardship import Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.services.verify import verify
from identity_graph.store.graph import Graph

RULES = Rules()


def story() -> list[Sequence[Observation]]:
    """Batches after which the graph has every kind of thing in it."""
    day = [f"2026-01-{day:02}T00:00:00Z" for day in range(1, 20)]
    tablet = [said(f"t{n}", f"user_id:u{n}", "device_id:tablet", observedAt=day[n]) for n in range(7)]
    return [
        [said("a1", "cookie_id:a", "device_id:a", observedAt=day[0])],
        [said("a2", "email:a@a.example", "user_id:a", observedAt=day[1], recordId="1", traits={"name": "A"})],
        [said("a3", "cookie_id:a", "user_id:a", observedAt=day[2])],
        [said("b1", "user_id:b", "email:b@b.example", observedAt=day[3], traits={"name": "B"})],
        [said("b2", "user_id:b", "cookie_id:a", observedAt=day[4])],
        [said("j1", "user_id:b", "email:noreply@b.example", observedAt=day[5])],
        tablet[:4],
        tablet[4:],
        [said("c1", "user_id:c", "phone:+31612345678", observedAt=day[6])],
        [said("d1", "cookie_id:d", observedAt=day[7]), said("e1", "cookie_id:e", observedAt=day[7])],
    ]


@pytest.fixture
def told(graph: Graph) -> Graph:
    for batch in story():
        write_batch(graph, batch, RULES)
    write_batch(graph, [said("r1", "user_id:r", "cookie_id:r", observedAt="2026-02-01T00:00:00Z")], RULES)
    Stewards(graph, RULES, now).retract(Observations(("r1",)), 1, "ann", "never was")
    return graph


def test_what_was_written_holds(told: Graph, driver: neo4j.Driver) -> None:
    assert not problems(read(driver), [o for batch in story() for o in batch], RULES, {"noreply@b.example"})
    verdict = verify(told, RULES)
    assert verdict.findings == {}
    assert verdict.holds
    assert verdict.counts["links"] == len(read(driver).links)
    assert verdict.counts["earlier_memberships"] > 0


def test_a_pair_kept_apart_is_part_of_the_evidence(told: Graph, driver: neo4j.Driver) -> None:
    driver.execute_query(
        "MATCH (a:Identifier {key: 'user_id:c'})-[:MEMBER_OF]->(p), (b:Identifier {key: 'phone:+31612345678'}) "
        "CREATE (a)-[:APART {side: 0}]->(:CannotLink {id: 'x'})<-[:APART {side: 1}]-(b) SET p.guarded = true"
    )
    findings = verify(told, RULES).findings
    assert "profile that the evidence does not hold together" in findings
    write_batch(told, [said("c2", "user_id:c", "phone:+31612345678", observedAt="2026-01-19T00:00:00Z")], RULES)
    assert verify(told, RULES).findings == {}


def test_a_retraction_gives_junk_no_partners(graph: Graph) -> None:
    phone, junk = "phone:+31612345678", "cookie_id:null"
    write_batch(graph, [said("p1", phone, junk), said("p2", phone, "user_id:a", junk)], RULES)
    assert verify(graph, RULES).findings == {}
    Stewards(graph, RULES, now).retract(Observations(("p1",)), 1, "ann", "never was")
    assert verify(graph, RULES).findings == {}


#: What is done to the graph, and how it is found.
HARM = {
    "MATCH (:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->() DELETE m": "identifier in no profile",
    "MATCH (i:Identifier {key: 'user_id:c'}), (p:Profile {status: 'ACTIVE'}) WHERE NOT (i)-->(p) WITH i, p LIMIT 1 "
    "CREATE (i)-[:MEMBER_OF {member: 'other', since: 0}]->(p)": "identifier in several profiles",
    "MATCH (i:Identifier {state: 'BLOCKED'}), (p:Profile {status: 'ACTIVE'}) WITH i, p LIMIT 1 "
    "CREATE (i)-[:MEMBER_OF {member: i.key, since: 0}]->(p)": "junk value in a profile",
    "MATCH (:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->() SET m.member = 'other'": (
        "membership that names another identifier"
    ),
    "MATCH (i:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->(), (:Identifier {key: 'user_id:a'})-[:MEMBER_OF]->(p) "
    "DELETE m CREATE (i)-[:MEMBER_OF {member: i.key, since: 0}]->(p)": (
        "profile that the evidence does not hold together"
    ),
    "MATCH (i:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->() DELETE m CREATE (i)-[:MEMBER_OF {member: i.key, since: "
    "0}]->(:Profile {id: 'x', status: 'ACTIVE', size: 1, refused: 0, limited: 'user_id:c'})": (
        "profiles that the evidence joins"
    ),
    "MATCH (i:Identifier {key: 'user_id:c'}) SET i.state = 'SHARED'": "identifier shared without cause, or the reverse",
    "MATCH (i:Identifier {state: 'SHARED'}) SET i.state = 'ACTIVE'": "identifier shared without cause, or the reverse",
    "MATCH (i:Identifier {key: 'user_id:c'}) SET i.state = 'BLOCKED'": "value blocked that is no junk, or the reverse",
    "MATCH (i:Identifier {key: 'phone:+31612345678'}) SET i.partners = null": (
        "partners that do not follow from the links"
    ),
    "MATCH (i:Identifier {key: 'phone:+31612345678'}) SET i.partners = i.partners + '\tuser_id:z'": (
        "partners that do not follow from the links"
    ),
    "MATCH (i:Identifier {state: 'SHARED'}) SET i.partners = 'user_id:u0'": (
        "partners that do not follow from the links"
    ),
    "MATCH ()-[l:LINK {state: 'REFUSED', reason: 'UNIQUE_NAMESPACE'}]->() SET l.state = 'ACTIVE', l.reason = null, "
    "l.parties = null": "link refused that should conduct, or the reverse",
    "MATCH ({key: 'phone:+31612345678'})-[l:LINK]->() SET l.state = 'REFUSED', l.reason = 'SIZE_CAP'": (
        "link refused that should conduct, or the reverse"
    ),
    "MATCH ()-[l:LINK {reason: 'UNIQUE_NAMESPACE'}]->() SET l.reason = 'SIZE_CAP'": (
        "link refused for another reason or by other parties"
    ),
    "MATCH ()-[l:LINK {reason: 'UNIQUE_NAMESPACE'}]->() SET l.parties = ['user_id:a', 'user_id:c']": (
        "link refused for another reason or by other parties"
    ),
    "MATCH ({key: 'phone:+31612345678'})-[l:LINK]->() SET l.reason = 'SIZE_CAP'": (
        "link refused for another reason or by other parties"
    ),
    "MATCH (a {key: 'phone:+31612345678'})-[l:LINK]->(b) WITH a, b, l, l {.*} AS said DELETE l "
    "CREATE (b)-[m:LINK]->(a) SET m = said": ("link with unknown or unordered ends"),
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile) SET p.size = 3": "profile with a wrong size",
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile) SET p.limited = null": (
        "profile with a wrong limited identifiers"
    ),
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile) SET p.refused = 1": (
        "profile with a wrong number of refused links"
    ),
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile) SET p.guarded = true": "profile with a wrong guard",
    "MATCH (p:Profile {status: 'MERGED'})-[m:MERGED_INTO]->() DELETE m": (
        "tombstone that does not lead straight to one living profile"
    ),
    "MATCH (p:Profile {status: 'MERGED'})-[m:MERGED_INTO]->(q) DELETE m CREATE (p)-[:MERGED_INTO]->(:Profile {id: 'x', "
    "status: 'MERGED', size: 0, refused: 0})-[:MERGED_INTO]->(q)": (
        "tombstone that does not lead straight to one living profile"
    ),
    "CREATE (:Profile {id: 'x', status: 'ACTIVE', size: 0, refused: 0})": ("active profile without members"),
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile) SET p.status = 'MERGED'": "merged profile with members",
    "MATCH (:Identifier {key: 'user_id:c'})-->(p:Profile), (:Identifier {key: 'user_id:a'})-->(q:Profile) "
    "CREATE (p)-[:MERGED_INTO]->(q)": "active profile that leads to another",
    "MATCH ()-[w:WAS_MEMBER_OF]->() SET w.until = w.since - 1": "membership that ends before it begins",
    "MATCH ()-[w:WAS_MEMBER_OF]->() SET w.until = null": "membership that ends before it begins",
    "MATCH (i)-[w:WAS_MEMBER_OF]->() SET w.until = w.until + 1": "memberships that overlap or leave a gap",
    "MATCH (i:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->(p) CREATE (i)-[:WAS_MEMBER_OF {since: 0, until: "
    "m.since}]->(p)": "move that no change tells",
    "MATCH (c:Change) SET c.moved = c.moved[1..]": "move that no change tells",
    "MATCH (c:Change {kind: 'RETRACTED'}) SET c.moved = []": "member that left without a change that tells it",
    "MATCH (c:Change) SET c.moved = c.moved + 'user_id:c'": "change that tells a move that never was",
    "MATCH (a {key: 'cookie_id:d'})-[m:MEMBER_OF]->(p), (b {key: 'cookie_id:e'})-[n:MEMBER_OF]->(q) "
    "WITH a, b, p, q, m, n, m.since AS since DELETE m, n CREATE (a)-[:MEMBER_OF {member: a.key, since: since}]->(q), "
    "(b)-[:MEMBER_OF {member: b.key, since: since}]->(p)": "member that is not where the changes lead",
    "MATCH (i:Identifier {key: 'cookie_id:d'}) SET i.joined = null": "member that is not where the changes lead",
    "MATCH (i {key: 'user_id:a'})-[m:MEMBER_OF]->(p) WITH i, m, p DELETE m WITH i, p "
    "MATCH (q:Profile {status: 'ACTIVE'}) WHERE q.id <> p.id WITH i, q LIMIT 1 "
    "CREATE (i)-[:MEMBER_OF {member: i.key, since: 0}]->(q)": "member that is not where the changes lead",
    "MATCH (:Record)-[h:HAS]->() DELETE h": "record without the anchor that it names",
    "MATCH (r:Record {record_id: '1'}) SET r.record_id = '2'": "record without the anchor that it names",
    "MATCH (r:Record), (i:Identifier {key: 'user_id:c'}) CREATE (r)-[:HAS]->(i)": (
        "record without the anchor that it names"
    ),
    "MATCH (o:Observation {id: 'a1'}) SET o.keys = o.keys + '\tuser_id:z'": "observation of unknown identifiers",
}


@pytest.mark.parametrize(("harm", "finding"), HARM.items())
def test_every_broken_invariant_is_found(told: Graph, driver: neo4j.Driver, harm: str, finding: str) -> None:
    counters = driver.execute_query(harm).summary.counters  # pyright: ignore[reportArgumentType]
    assert counters.contains_updates, "nothing was broken"
    verdict = verify(told, RULES)
    assert finding in verdict.findings
    assert not verdict.holds
    assert verdict.findings[finding].count >= len(verdict.findings[finding].examples) > 0


def test_the_command_tells_nobody_s_identifiers(
    told: Graph, driver: neo4j.Driver, neo4j_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Typer()
    app.command()(cli_ingest.verify)
    monkeypatch.setenv("NEO4J_URI", neo4j_connection.uri)
    monkeypatch.setenv("NEO4J_USER", neo4j_connection.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_connection.password)
    passed = CliRunner().invoke(app, ["--json"])
    assert passed.exit_code == 0
    assert json.loads(passed.stdout)["holds"] is True
    driver.execute_query(
        "MATCH (:Identifier {key: 'user_id:c'})-[m:MEMBER_OF]->() DELETE m "
        "WITH 1 AS done MATCH (o:Observation {id: 'a1'}) SET o.keys = 'user_id:z'"
    )
    for more, secret in (([], True), (["--show-keys"], False)):
        failed = CliRunner().invoke(app, ["--json", *more])
        assert failed.exit_code == 1
        findings = json.loads(failed.stdout)["findings"]
        assert findings["identifier in no profile"]["count"] == 1
        assert ("user_id:c" in failed.stdout) is not secret
        assert ("observation a1" in failed.stdout) is not secret
