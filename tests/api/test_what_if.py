"""What if: by other rules, with more observations; foretold without a trace, and then as foretold."""

from typing import Any

import pytest

from .live import Cypher, Service, an, an_email, seen

SIMULATE = """query($input: SimulateInput!) { simulate(input: $input) { __typename
    ... on Simulated { merges splits profiles { now then } sharedIdentifiers { now then } junkValues { now then }
        refusedLinks { code links { now then } } mostAffected { profile { id } size parts others } }
    ... on SimulationRefused { code message path } } }"""
#: An e-mail address is one person's, and of one there is one.
UNIQUE = '[namespaces.email]\nclass = "EMAIL"\nunique = true\npriority = 2\nnormaliser = "email"\n'


@pytest.fixture(scope="module", autouse=True)
def nobody_yet(service: Service, cypher: Cypher) -> None:
    """The graph without what other tests left, some of it by other rules."""
    kinds = "Identifier|Profile|Observation|Record|RecordVersion|Change|CannotLink|Tally|Override"
    cypher(f"MATCH (n:{kinds}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS")


def simulated(service: Service, **input: Any) -> dict[str, Any]:
    answer = service.post(SIMULATE, {"input": input}).json()
    assert "errors" not in answer, answer
    return answer["data"]["simulate"]


def test_by_the_same_rules_nothing_changes(service: Service) -> None:
    service.submit(seen(an_email(), an("device_id")))
    found = simulated(service)
    assert (found["merges"], found["splits"], found["mostAffected"]) == (0, 0, [])
    for one in (found["profiles"], found["sharedIdentifiers"], found["junkValues"]):
        assert one["now"] == one["then"]
    assert all(one["links"]["now"] == one["links"]["then"] for one in found["refusedLinks"])


def test_what_observations_would_do_is_what_they_do(service: Service) -> None:
    one, two, new = an_email(), an("loyalty_id"), an("device_id")
    a, b = (told["profile"]["id"] for told in service.submit(seen(one), seen(two)))
    bridge = seen(one, two, new)
    before = simulated(service)["profiles"]["now"]
    found = simulated(service, observations=[bridge])
    assert (found["merges"], found["splits"]) == (1, 0)
    assert found["profiles"] == {"now": before, "then": before - 1}
    assert {(p["profile"]["id"], p["parts"], p["others"]) for p in found["mostAffected"]} == {(a, 1, 1), (b, 1, 1)}
    assert service.profile_of(one) != service.profile_of(two)
    service.submit(bridge)
    assert simulated(service)["profiles"]["now"] == before - 1


def test_rules_that_split_name_whom(service: Service) -> None:
    card, mails = an("loyalty_id"), [an_email(), an_email()]
    service.submit(*(seen(card, mail) for mail in mails))
    id = service.profile_of(card)
    found = simulated(service, rules=UNIQUE)
    assert found["splits"] > 0
    assert id in {p["profile"]["id"] for p in found["mostAffected"]}
    (unique,) = [one["links"] for one in found["refusedLinks"] if one["code"] == "UNIQUE_NAMESPACE"]
    assert unique["then"] > unique["now"]
    assert service.profile_of(mails[0]) == service.profile_of(mails[1])


@pytest.mark.parametrize(
    ("input", "code", "path"),
    [
        ({"rules": "[namespaces.email]\nunique = 3"}, "INVALID_RULES", ["rules", "namespaces.email.unique"]),
        ({"rules": '[namespaces.email]\nnormaliser = "lower"'}, "RULES_NOT_APPLICABLE", ["rules"]),
        (
            {"observations": [seen(an("email", "no address"))]},
            "INVALID_IDENTIFIER",
            ["observations", "0", "identifiers", "0", "value"],
        ),
    ],
)
def test_what_cannot_be_simulated_is_named(service: Service, input: dict[str, Any], code: str, path: list[str]) -> None:
    service.submit(seen(an_email()))
    refused = simulated(service, **input)
    assert (refused["code"], refused["path"]) == (code, path)
