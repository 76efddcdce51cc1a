"""A service that runs while other rules are applied goes on by them, and tells of them."""

import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from identity_graph.domain.rules import Rules
from identity_graph.services.active_rules import followed
from identity_graph.services.apply_rules import apply_rules
from identity_graph.services.submit import now

from .live import Cypher, Service, an, an_email, seen

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
