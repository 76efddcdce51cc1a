"""Every statement file does what its header says, checked by the server that plans it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neo4j
import pytest
from sending import people
from stored import empty

from identity_graph.domain.rules import Rules
from identity_graph.services.submit import write_batch
from identity_graph.store import statements
from identity_graph.store.errors import Unavailable
from identity_graph.store.graph import Graph
from identity_graph.store.statements import Statement, StatementError, all_statements, statement

#: Statements that may scan a label, and why that is all right.
_RETRACTING = ("of_link", "of_source", "rest")
SCANS = {
    "audit/list": "there is one node a process that ever served",
    "crowd/find": "looks at all values of blocking rules, when a model is activated",
    "change/merges": "looks at all changes, when a steward undoes many",
    "change/retractions": "looks at all retracted observations, when a steward brings back many",
    "database/is_empty": "looks at one node of a kind at most",
    "ingest/totals": "counts once a command",
    "link/refusals": "counts all refused links, for a report",
    "migration/list": "there is one node a migration",
    **{f"model/{verb}": "there are a few models" for verb in ("activate", "active", "list")},
    **{f"retraction/{what}": "looks at all observations, when a steward retracts some" for what in _RETRACTING},
    "export/columns": "reads all profiles, once an export",
    "rules/history": "there is one node a change of the rules or the model",
    "score/span": "looks at all tallies, once a training",
    "segment/joining": "evaluates a rule over all profiles, once a definition",
    "segment/list": "there are a few segments",
    "segment/preview": "evaluates a rule over all profiles",
    "segment/turning": "looks at all profiles, once a definition",
    "trait/fill": "reads the first of all profiles",
    "trait/list": "there are some thousand traits at most",
    "change/telling": "looks once for somebody to show",
    "profile/richest": "looks once for somebody to show",
    "profile/several_devices": "looks once for somebody to show",
    "rules/activate": "there is one node a version of the rules",
    "rules/active": "there is one node a version of the rules",
    "rules/namespaces": "looks at all identifiers, once other rules are applied",
    "lineage/graph": "there are as many as there were other rules and models",
    **{
        f"verify/{noun}": "reads all there is"
        for noun in "anchored cannot_links changes golden identifiers links memberships memberships_in_segments "
        "observations profiles records tallies uncounted".split()
    },
    "verify/segments": "there are a few segments",
}
#: What lets a plan read all of something.
SCAN = re.compile(r"AllNodesScan|AllRelationshipsScan|LabelScan|RelationshipTypesScan|RelationshipTypeScan|IndexScan")
#: `UNIQUE i:Identifier(key) WHERE …` and `RANGE INDEX ()-[l:LINK(id)]->() WHERE …`, as plans write them.
USED = re.compile(r"(?:^UNIQUE |INDEX .*?)\w*:(\w+)\((\w+)(?:, \w+)*\)")


@pytest.fixture(scope="module", params=["empty", "filled"])
def planned(request: pytest.FixtureRequest, migrated: Graph, driver: neo4j.Driver) -> neo4j.Driver:
    """The planner chooses by what is stored: a scan looks cheap while there is nothing to scan."""
    empty(driver)
    if request.param == "filled":
        write_batch(migrated, people(600), Rules())
    with driver.session() as session:
        session.run("CALL db.clearQueryCaches()").consume()
    return driver


def explained(driver: neo4j.Driver, of: Statement) -> tuple[list[str], neo4j.ResultSummary]:
    with driver.session() as session:
        # Cut from the text, as the driver wants a literal and this is one with a word before it.
        result = session.run(neo4j.Query("EXPLAIN " + of.text), dict.fromkeys(of.params))
        return list(result.keys()), result.consume()


def operators(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each operator of a plan and its details."""
    yield plan["operatorType"].partition("@")[0], plan["args"].get("Details", "")
    for child in plan.get("children", []):
        yield from operators(child)


def indexes(driver: neo4j.Driver) -> dict[tuple[str, str], str]:
    """The name of each index by its label or type and its first property."""
    with driver.session() as session:
        rows = session.run("SHOW INDEXES YIELD name, labelsOrTypes, properties").values()
    return {(labels[0], properties[0]): name for name, labels, properties in rows if labels}


def test_every_plan_uses_the_index_that_its_header_names_and_scans_nothing(planned: neo4j.Driver) -> None:
    names = indexes(planned)
    wrong: list[str] = []
    for of in all_statements():
        _, summary = explained(planned, of)
        assert summary.plan
        found = list(operators(summary.plan))
        used = {names[match.groups()] for _, details in found if (match := USED.search(details))}
        named = set() if of.index == "none" else set(of.index.split(", "))
        if used != named and not used > named > set():
            wrong.append(f"{of.name} uses {sorted(used)}, its header names {sorted(named)}")
        scans = [f"{operator} {details}" for operator, details in found if SCAN.search(operator)]
        if scans and of.name not in SCANS:
            wrong.append(f"{of.name} scans: {scans}")
    assert wrong == []


def test_only_statements_that_scan_are_excused(planned: neo4j.Driver) -> None:
    excused = [statement(name) for name in SCANS]
    found = [explained(planned, of)[1].plan or {} for of in excused]
    assert [
        of.name
        for of, plan in zip(excused, found, strict=True)
        if not any(SCAN.search(operator) for operator, _ in operators(plan))
    ] == []


def test_every_statement_returns_and_writes_what_its_header_says(planned: neo4j.Driver) -> None:
    wrong: list[str] = []
    for of in all_statements():
        columns, summary = explained(planned, of)
        if columns != list(of.returns):
            wrong.append(f"{of.name} returns {columns}, its header says {list(of.returns)}")
        access = "read" if summary.query_type == "r" else "write"
        if access != of.access:
            wrong.append(f"{of.name} has access {access}, its header says {of.access}")
    assert wrong == []


def test_no_statement_uses_what_the_server_is_about_to_drop(planned: neo4j.Driver) -> None:
    with planned.session(notifications_min_severity="INFORMATION") as session:
        found = [
            f"{of.name}: {notice.status_description}"
            for of in all_statements()
            for notice in session.run(neo4j.Query("EXPLAIN " + of.text), dict.fromkeys(of.params))
            .consume()
            .gql_status_objects
            if notice.classification is neo4j.NotificationClassification.DEPRECATION
        ]
    assert found == []


# --- The reader

HEADER = {
    "name": "people/find",
    "summary": "People of a name.",
    "params": "name: String",
    "returns": "id: String",
    "access": "read",
    "index": "person_name",
}
TEXT = "MATCH (p:Person {name: $name})\nRETURN p.id AS id\n"


def written(header: dict[str, str], text: str = TEXT) -> str:
    return "".join(f"// {key}: {value}\n" for key, value in header.items()) + text


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Reads a text as the statement people/find."""
    monkeypatch.setattr(statements, "contracts", lambda kind: tmp_path / kind)
    file = tmp_path / "cypher" / "statements" / "people" / "find.cypher"
    file.parent.mkdir(parents=True)

    def of(text: str) -> Statement:
        statement.cache_clear()
        file.write_text(text)
        return statement("people/find")

    yield of
    statement.cache_clear()


def test_a_statement_is_its_header_and_its_text(read: Any) -> None:
    found = read(written(HEADER))
    assert (found.params, found.returns) == ({"name": "String"}, {"id": "String"})
    assert (found.access, found.index, found.summary) == ("read", "person_name", "People of a name.")
    assert found.text == TEXT.strip()
    nothing = read(written(HEADER | {"params": "none", "returns": "none"}, "MATCH (p:Person)\nSET p.seen = true\n"))
    assert (nothing.params, nothing.returns) == ({}, {})
    assert [s.name for s in all_statements()] == ["people/find"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"params": "none"}, "name"),
        ({"params": "name: String, age: Integer"}, "age"),
        ({"params": "name"}, "name: Type"),
        ({"returns": "id"}, "name: Type"),
        ({"name": "people/search"}, "people/search"),
        ({"access": "admin"}, "read or write"),
        ({"summary": ""}, "header"),
    ],
    ids=lambda value: str(value),
)
def test_a_header_that_contradicts_the_text_is_an_error(read: Any, change: dict[str, str], says: str) -> None:
    with pytest.raises(StatementError, match=f"^people/find: .*{says}"):
        read(written(HEADER | change))


@pytest.mark.parametrize("left_out", HEADER)
def test_a_header_without_one_of_its_lines_is_an_error(read: Any, left_out: str) -> None:
    with pytest.raises(StatementError, match="the header must have the lines"):
        read(written({key: value for key, value in HEADER.items() if key != left_out}))


def test_a_header_in_another_order_or_with_more_lines_is_an_error(read: Any) -> None:
    for header in (dict(reversed(HEADER.items())), HEADER | {"author": "someone"}):
        with pytest.raises(StatementError, match="in this order"):
            read(written(header))


def test_a_statement_that_is_not_there_is_named() -> None:
    with pytest.raises(StatementError, match="no statement people/lose"):
        statement("people/lose")


def test_a_read_is_tried_again_only_where_that_may_help(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    failing: list[Exception] = [neo4j.exceptions.SessionExpired("the connection is gone")]
    run = neo4j.Session.run

    def broken(self: neo4j.Session, *of: Any, **more: Any) -> neo4j.Result:
        if failing:
            raise failing.pop()
        return run(self, *of, **more)

    monkeypatch.setattr(neo4j.Session, "run", broken)
    assert graph.read("ingest/totals") == [(0, 0)]
    assert failing == []
    failing.append(neo4j.exceptions.ClientError("no such thing"))
    with pytest.raises(Unavailable):
        graph.read("ingest/totals")
