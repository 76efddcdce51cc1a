"""Every scenario through the pure partition, after each of its steps."""

from collections import Counter

import pytest
from scenarios.scenario import DOCUMENTED, Expect, Scenario, Seen, load, parse, wrong
from scenarios.translate import scenarios as translated

from identity_graph.domain.events import Event
from identity_graph.domain.evidence import CannotLink, Observation, gather, observation
from identity_graph.domain.identifiers import identify
from identity_graph.domain.partition import partition
from identity_graph.domain.rules import Rules
from identity_graph.domain.survivorship import Traits, golden_values
from identity_graph.services.rules_file import parse_rules


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario(scenario: Scenario) -> None:
    assert play(scenario) == []


def play(scenario: Scenario) -> list[str]:
    """What does not hold in a scenario, and after which step."""
    rules = parse_rules(scenario.rules)
    observations: dict[str, Observation] = {}
    cannot_links: list[CannotLink] = []
    found: list[str] = []
    for step in scenario.steps:
        if step.keep_apart:
            one, other = step.keep_apart
            cannot_links.append(CannotLink(step.id, frozenset((one,)), frozenset((other,))))
        elif step.retract:
            del observations[step.retract]
        else:
            named = [identify(namespace, value, rules) for namespace, value in step.identifiers]
            event = Event(step.event, "{}") if step.event else None
            observations[step.id] = observation(
                step.id, step.source, step.at, named, "", rules, traits=step.traits, event=event
            )
        problems = wrong(step.expect, seen(list(observations.values()), cannot_links, rules))
        found += [f"{step.id}: {problem}" for problem in problems]
    return found


def seen(observations: list[Observation], cannot_links: list[CannotLink], rules: Rules) -> Seen:
    evidence = gather(observations, cannot_links)
    result = partition(evidence, rules)
    refused = {
        frozenset((link.a, link.b)): str(result.refused[link.id].code)
        for link in evidence.links
        if link.id in result.refused
    }
    blocked = {key for key in evidence.identifiers if rules.is_blocked_key(key)}
    anchor = observations[-1].anchor if observations else None
    records = {o.record_key: (o.anchor.key, o) for o in observations if o.anchor and o.traits is not None}
    traits = {
        member: golden_values(
            [Traits(o.source, o.observed_at, o.traits or {}) for key, o in records.values() if key in profile],
            rules.traits,
        )
        for profile in result.profiles
        for member in profile
    }
    events = Counter(o.anchor.key for o in observations if o.anchor and o.event)
    strongest = anchor.key if anchor else None
    return Seen(set(result.profiles), refused, set(result.shared), blocked, strongest, events, traits)


def test_scenarios_are_named_once_and_expect_something() -> None:
    names = [scenario.name for scenario in load()]
    assert len(names) == len(set(names)) > 30
    assert [s.name for s in load() if all(step.expect == Expect() for step in s.steps)] == []


def test_every_documented_case_is_told_or_has_a_reason() -> None:
    """All of a case is in scenarios, or the table of cases says what is not, and why."""
    told = [scenario.case for scenario in load()]
    assert [case for case, left_out in DOCUMENTED.items() if not left_out and case not in told] == []
    systems = {case.partition("/")[0] for case in DOCUMENTED}
    assert {system: sum(case.startswith(f"{system}/") for case in DOCUMENTED) for system in systems} == {
        "adobe": 16,
        "mparticle": 5,
        "posthog": 2,
        "segment": 3,
        "snowplow": 2,
        "tilores": 2,
        "unomi": 5,
    }
    misnamed = [s.case for s in load() if s.case != s.name and s.case not in DOCUMENTED]
    assert misnamed == []


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
                    "unknown": ["user_id:bob"],
                    "events": {"user_id:bob": 1},
                    "traits": {"user_id:bob": {"name": "Bob"}},
                },
            }
        ]
    )
    assert [problem.partition(":")[0] for problem in play(scenario)] == ["wrong/1", *["wrong/2"] * 9]


def test_an_id_that_does_not_last_is_noticed() -> None:
    expect = Expect(ids={"user_id:ada": "A", "user_id:bob": "B"}, leads={"C": "A"})
    profiles = {frozenset(("user_id:ada",)), frozenset(("user_id:bob",))}

    def shown(home: dict[str, str], survivors: dict[str, str]) -> list[str]:
        return wrong(expect, Seen(profiles, {}, set(), set(), None, {}, {}, home, survivors), {"A": "p1", "C": "p3"})

    assert shown({"user_id:ada": "p1", "user_id:bob": "p2"}, {"p3": "p1"}) == []
    assert len(shown({"user_id:ada": "p2", "user_id:bob": "p4"}, {"p3": "p1"})) == 1
    assert len(shown({"user_id:ada": "p1", "user_id:bob": "p1"}, {"p3": "p1"})) == 1
    assert len(shown({"user_id:ada": "p1", "user_id:bob": "p2"}, {"p3": "p2"})) == 1


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
