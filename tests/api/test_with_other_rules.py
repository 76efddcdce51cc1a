"""A service that runs while other rules are applied goes on by them, and tells of them."""

import json
import time
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from identity_graph.domain.events import Declared, What
from identity_graph.domain.rules import Rules
from identity_graph.services.active_rules import followed
from identity_graph.services.apply_rules import apply_rules
from identity_graph.services.export import export
from identity_graph.services.submit import now

from .live import Cypher, Service, an, an_email, seen, statements_of

ONE_ADDRESS = replace(Rules(), namespaces={**Rules().namespaces, "email": replace(Rules().rule("email"), unique=True)})
CHANGES = "{ graphChanges(first: 2) { kind at cause { ... on RulesCause { rulesVersion actor reason } } } }"
LINEAGE = """query($id: ID!) { profile(id: $id) { lineage { edges { node {
    kind movedIdentifiers { value } cause { __typename ... on RulesCause { rulesVersion reason } }
    participants { profileId role } } } } } }"""


@pytest.fixture(autouse=True)
def only_here(service: Service, cypher: Cypher) -> Generator[None]:
    """A graph without what other tests left, some of it by other rules; afterwards it follows the built-in ones."""
    kinds = "Identifier|Profile|Observation|Record|RecordVersion|Change|CannotLink|Tally|Override"
    cypher(f"MATCH (n:{kinds}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS")
    yield
    follow(service, Rules())
    insist(service, seen(an_email()))


def follow(service: Service, rules: Rules) -> None:
    apply_rules(service.graph, rules, now, "ann", "one address a person", lambda what, many: None)


def insist(service: Service, observation: dict[str, Any]) -> list[str]:
    """Submit until it is taken; the codes of the errors met on the way, all of which say to try again."""
    met: list[str] = []
    for _ in range(100):
        given = {"input": {"observations": [observation], "dryRun": False}}
        text = "mutation($input: SubmitLinksInput!) { submitLinks(input: $input) { results { __typename } } }"
        errors = service.post(text, given).json().get("errors", [])
        if not errors:
            return met
        assert all(error["extensions"]["retryable"] for error in errors), errors
        met += [error["extensions"]["code"] for error in errors]
        time.sleep(0.1)
    pytest.fail(f"it was never taken: {met}")


def test_the_service_follows(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other rules may come while requests by the former ones are still under way.
    monkeypatch.setattr("identity_graph.app.REQUEST_TIMEOUT", 1_000.0)
    card, one, two, three = an("loyalty_id"), an_email(), an_email(), an_email()
    service.submit(seen(card, one), seen(card, two))
    id = service.profile_of(card)
    assert service.profile_of(one) == service.profile_of(two) == id
    follow(service, ONE_ADDRESS)
    assert set(insist(service, seen(card, three))) <= {"RULES_CHANGED"}
    assert len({service.profile_of(mail) for mail in (one, two, three)}) == 3

    now_followed = followed(service.graph)
    assert now_followed
    cause = {"rulesVersion": now_followed.rules.version, "actor": "ann", "reason": "one address a person"}
    told = service.post(CHANGES).json()["data"]["graphChanges"]
    assert [(change["kind"], change["cause"]) for change in told] == [("RULES_CHANGED", cause)]
    lineage = service.post(LINEAGE, {"id": id}).json()["data"]["profile"]["lineage"]["edges"]
    # The card goes to whom it was seen with last, which may split a profile once more, but not by the rules.
    splits = [edge["node"]["cause"] for edge in lineage if edge["node"]["kind"] == "SPLIT"]
    said = {"rulesVersion": cause["rulesVersion"], "reason": cause["reason"]}
    assert [told for told in splits if told["__typename"] == "RulesCause"] == [{"__typename": "RulesCause"} | said]
    assert {edge["node"]["kind"] for edge in lineage} >= {"SPLIT", "LINK_REFUSED", "CREATED"}

    follow(service, Rules())
    insist(service, seen(card))
    assert {service.profile_of(mail) for mail in (one, two, three)} == {id}
    assert service.post(CHANGES).json()["data"]["graphChanges"][0]["kind"] == "RULES_CHANGED"


def test_rules_are_not_undone_by_a_change_of_theirs(service: Service, cypher: Cypher) -> None:
    follow(service, ONE_ADDRESS)
    ((change,),) = (row.values() for row in cypher("MATCH (c:GraphChange) RETURN c.id AS id"))
    insist(service, seen(an_email()))
    operation = {"changeId": change, "reason": "no", "expectedVersion": 1}
    answer = service.run("UndoChange", {"input": operation | {"dryRun": False}})
    assert answer["undoChange"]["outcome"]["code"] == "NOT_UNDOABLE"


GOLDEN = """query($id: ID!, $asOf: DateTime) { profile(id: $id, asOf: $asOf) { goldenRecord { name value type source
    observedAt rule alternatives { value source } } segments { name } } }"""
DEFINE = """mutation($rule: SegmentRuleInput!, $name: String!) { defineSegment(input: {name: $name, rule: $rule}) {
    outcome { ... on SegmentDefined { segment { size } remarks { code } } ... on SegmentRejected { code path } } } }"""
EXPLAIN = """query($id: ID!) { explainMembership(segment: "buyers", profileId: $id) { isMember turnsAt
    conditions { condition holds actual } } }"""
CATALOGUE = "{ traitCatalogue { traits { name kind types sources fillRate } } }"
OVERRIDE = """mutation($id: ID!) { overrideTrait(input: {profileId: $id, name: "orders_1_day", value: 9, reason: "x"}) {
    outcome { ... on ChangeRefused { code message } } } }"""


def test_what_the_rules_declare_is_a_trait_everywhere(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In golden records, catalogue, segments, which somebody enters by an event, and in exports."""
    declared = {"orders_1_day": Declared("purchase", What.COUNT, 1), "spent": Declared("purchase", What.SUM)}
    follow(service, replace(Rules(), aggregates=declared))
    email, browser = an_email(), an("cookie_id")
    insist(service, seen(email, traits={"orders_1_day": "many", "spent": 1}, source="crm"))
    id = service.profile_of(email)

    def asked(text: str, **given: Any) -> Any:
        body = service.post(text, given).json()
        assert "errors" not in body, body
        return body["data"]

    def golden(**given: Any) -> dict[str, Any]:
        found = asked(GOLDEN, id=id, **given)["profile"]["goldenRecord"]
        return {one.pop("name"): one for one in found if one["name"] in declared}

    def segments() -> list[str]:
        found = [one["name"] for one in asked(GOLDEN, id=id)["profile"]["segments"]]
        return [name for name in found if name in ("buyers", "spenders")]

    def bought(ago: timedelta, value: float, *by: dict[str, str]) -> dict[str, Any]:
        at = datetime.now(UTC) - ago
        return seen(*by, observedAt=at.isoformat(), event={"type": "purchase", "properties": {"value": value}})

    assert golden() == {}
    for name, rule, code in (
        ("buyers", {"trait": {"name": "orders_1_day", "atLeast": 2}}, None),
        ("spenders", {"trait": {"name": "spent", "greaterThan": 7.5}}, None),
        ("odd", {"not": {"trait": {"name": "spent", "contains": 7.5}}}, "TYPE_MISMATCH"),
    ):
        outcome = asked(DEFINE, name=name, rule=rule)["defineSegment"]["outcome"]
        refused = {"code": code, "path": ["rule", "not", "trait", "contains"]}
        assert outcome == (refused if code else {"segment": {"size": 0}, "remarks": []})
    half_a_day = timedelta(hours=12)
    service.submit(
        bought(timedelta(days=3), 5, email), bought(half_a_day, 2.5, browser), bought(0 * half_a_day, 0.1, email)
    )
    assert (golden()["orders_1_day"]["value"], segments()) == (1, [])
    service.submit(seen(email, browser))
    with statements_of(service, monkeypatch) as run:
        found = golden()
    assert sorted(run) == ["event/declared", "profile/state", "record/traits", "segment/of_profiles"]
    moment = found["spent"].pop("observedAt")
    assert moment == found["orders_1_day"].pop("observedAt")
    summed = {"type": "NUMBER", "source": "aggregate", "rule": "aggregate"}
    assert found == {
        "orders_1_day": {"value": 2, "alternatives": [{"value": "many", "source": "crm"}]} | summed,
        "spent": {"value": 7.6, "alternatives": [{"value": 1, "source": "crm"}]} | summed,
    }
    assert segments() == ["buyers", "spenders"]
    told = asked(EXPLAIN, id=id)["explainMembership"]
    assert told["conditions"] == [{"condition": "orders_1_day atLeast 2.0", "holds": True, "actual": 2}]
    assert told["turnsAt"] < (datetime.now(UTC) + half_a_day).isoformat()
    then = golden(asOf=datetime.now(UTC).isoformat())
    assert {name: (one["value"], one["source"]) for name, one in then.items()} == {
        "orders_1_day": ("many", "crm"),
        "spent": (1, "crm"),
    }
    catalogue = {one.pop("name"): one for one in asked(CATALOGUE)["traitCatalogue"]["traits"]}
    told = {"kind": "AGGREGATE", "types": ["NUMBER"], "sources": ["crm"], "fillRate": 1.0}
    assert [catalogue[name] for name in declared] == [told, told]
    refused = asked(OVERRIDE, id=id)["overrideTrait"]["outcome"]
    assert refused == {
        "code": "INVALID_TRAIT",
        "message": "The rules declare orders_1_day as what events add up to.",
    }
    export(service.graph, tmp_path / "all.jsonl", "jsonl", None)
    (row,) = (json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines())
    assert (row["orders_1_day"], row["spent"]) == (2.0, 7.6)
