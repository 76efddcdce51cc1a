"""Every scenario through the pure partition, after each of its steps."""

import pytest
from scenarios.scenario import Expect, Scenario, load, parse, wrong
from scenarios.translate import scenarios as translated

from identity_graph.domain.evidence import CannotLink, Observation, gather, observation
from identity_graph.domain.identifiers import identify
from identity_graph.domain.partition import partition
from identity_graph.services.rules_file import parse_rules


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario(scenario: Scenario) -> None:
    assert play(scenario) == []


def play(scenario: Scenario) -> list[str]:
    """What does not hold in a scenario, and after which step."""
    rules = parse_rules(scenario.rules)
    observations: list[Observation] = []
    cannot_links: list[CannotLink] = []
    found: list[str] = []
    for step in scenario.steps:
        if step.keep_apart:
            one, other = step.keep_apart
            cannot_links.append(CannotLink(step.id, frozenset((one,)), frozenset((other,))))
        else:
            named = [identify(namespace, value, rules) for namespace, value in step.identifiers]
            observations.append(observation(step.id, step.source, step.at, named, "", rules))
        evidence = gather(observations, cannot_links)
        result = partition(evidence, rules)
        refused = {
            frozenset((link.a, link.b)): str(result.refused[link.id].code)
            for link in evidence.links
            if link.id in result.refused
        }
        blocked = {key for key in evidence.identifiers if rules.is_blocked_key(key)}
        anchor = observations[-1].anchor if observations else None
        strongest = anchor.key if anchor else None
        problems = wrong(step.expect, set(result.profiles), refused, set(result.shared), blocked, strongest)
        found += [f"{step.id}: {problem}" for problem in problems]
    return found


def test_scenarios_are_named_once_and_expect_something() -> None:
    names = [scenario.name for scenario in load()]
    assert len(names) == len(set(names)) > 30
    assert [s.name for s in load() if all(step.expect == Expect() for step in s.steps)] == []


def test_a_scenario_that_does_not_hold_says_so_at_its_step() -> None:
    (scenario,) = parse(
        [
            {
                "name": "wrong",
                "source": "here",
                "steps": [
                    {
                        "observe": {"identifiers": ["user_id:ada", "cookie_id:x1"]},
                        "expect": {"apart": [["user_id:ada", "cookie_id:x1"]]},
                    },
                    {"observe": {"identifiers": ["user_id:bob", "cookie_id:x1"]}},
                ],
                "expect": {
                    "groups": [["user_id:ada"]],
                    "together": [["user_id:ada", "user_id:bob"]],
                    "refused": [{"link": ["cookie_id:x1", "user_id:ada"], "code": "SIZE_CAP"}],
                    "shared": ["cookie_id:x1"],
                    "blocked": ["cookie_id:x1"],
                    "strongest": "cookie_id:x1",
                },
            }
        ]
    )
    assert [problem.partition(":")[0] for problem in play(scenario)] == ["wrong/1", *["wrong/2"] * 6]


#: One short case a system in the form that its documentation was noted in.
CASES = [
    {
        "id": "adobe/owner",
        "source": "a page",
        "rules": {
            "namespaces": [
                {"namespace": "CRMID", "type": "CROSS_DEVICE", "priority": 1, "unique_per_graph": True},
                {"namespace": "ECID", "type": "COOKIE", "priority": 2, "unique_per_graph": False},
            ]
        },
        "events": [
            {"order": n, "identifiers": [{"namespace": "CRMID", "value": who}, {"namespace": "ECID", "value": "pc"}]}
            for n, who in enumerate(["Ann", "Ben", "Ann"], 1)
        ],
        "expected": {"owner_of_ECID_pc_after": {"1": "Ann", "2": "Ben", "3": "Ann"}},
    },
    {
        "id": "segment/limit",
        "source": "a page",
        "rules": {"limits": {"user_id": 1, "*": 2}, "priority": ["user_id", "<others alphabetical>"]},
        "events": [
            {"order": n, "identifiers": [{"type": "user_id", "value": who}, {"type": "email", "value": "a@b.com"}]}
            for n, who in enumerate(["ann", "ben"], 1)
        ],
        "expected": {
            "groups": [["user_id:ann", "email:a@b.com"], ["user_id:ben"]],
            "dropped_identifiers": {"2": ["email:a@b.com"]},
        },
    },
    {
        "id": "snowplow/shared",
        "source": "a page",
        "rules": {"identifiers": ["phone_id", "user_id"], "unique": ["user_id"]},
        "events": [
            {"order": n, "identifiers": [{"type": "user_id", "value": who}, {"type": "phone_id", "value": "p1"}]}
            for n, who in enumerate(["ann", "ben"], 1)
        ],
        "expected": {"profile_id_per_event": {"1": "one", "2": "two"}},
    },
    {
        "id": "posthog/safe",
        "source": "a page",
        "events": [
            {"order": 1, "op": "identify", "distinct_id": "Ann", "anon": "x1"},
            {"order": 2, "op": "identify", "distinct_id": "Ben", "anon": "x1"},
        ],
        "expected": {"merged": {"1": True, "2": False}, "groups": [["Ann", "x1"], ["Ben"]]},
    },
    {
        "id": "mparticle/modify",
        "source": "a page",
        "rules": {"priority": ["customer_id", "email"], "unique_ids": ["customer_id", "email"]},
        "events": [
            {
                "op": "login",
                "identifiers": [{"type": "customer_id", "value": "c1"}, {"type": "email", "value": "old@b.com"}],
            },
            {"op": "modify", "identifiers": [], "modify": {"type": "email", "new_value": "new@b.com"}},
        ],
        "expected": {"final_profiles": {"P1": ["customer_id:c1", "email:new@b.com"]}},
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_documented_case_translates_into_a_scenario_that_holds(case) -> None:
    (scenario,) = parse(translated([case]))
    assert any(step.expect != Expect() for step in scenario.steps)
    assert play(scenario) == []
