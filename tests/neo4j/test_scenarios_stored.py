"""Every scenario on the real database: step by step, backwards, and as one batch."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import neo4j
import pytest
from scenarios.scenario import Scenario, Seen, Step, load, wrong
from stored import Stored, read

from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH, Rejection, parse_observation
from identity_graph.domain.rules import Rules
from identity_graph.services.rules_file import parse_rules
from identity_graph.services.stewardship import Observations, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph


def observation_of(step: Step, rules: Rules) -> Observation:
    raw = {
        "id": step.id,
        "source": step.source,
        "observedAt": EPOCH + timedelta(microseconds=step.at),
        "identifiers": [{"namespace": namespace, "value": value} for namespace, value in step.identifiers],
        "traits": step.traits,
        "event": step.event and {"type": step.event},
    }
    taken = parse_observation(raw, rules, now())
    assert not isinstance(taken, Rejection), taken
    return taken


def play(graph: Graph, driver: neo4j.Driver, steps: Sequence[Step], rules: Rules) -> Stored:
    stewards = Stewards(graph, rules, now)
    for step in steps:
        if step.keep_apart:
            stewards.set_cannot_link(*step.keep_apart, None, "ann", "they are two")
        elif step.retract:
            stewards.retract(Observations(ids=(step.retract,)), 1, "ann", "it was a mistake")
        else:
            write_batch(graph, [observation_of(step, rules)], rules)
    return read(driver)


def does_not_hold(
    scenario: Scenario, step: Step, stored: Stored, rules: Rules, names: dict[str, str] | None = None
) -> list[str]:
    """What does not hold after a step. Without ``names`` ids are not looked at: which one stays is told by arrival."""
    ends = {id: frozenset((link["a"], link["b"])) for id, link in stored.links.items()}
    last = next(s for s in reversed(scenario.steps) if not s.by_hand)
    anchor = observation_of(last, rules).anchor
    events: Counter[str] = Counter()
    for tally in stored.tallies.values():
        events[tally["of"][0]] += tally["count"]
    seen = Seen(
        set(stored.active.values()),
        {ends[id]: str(refusal.code) for id, refusal in stored.refused.items()},
        stored.shared,
        stored.blocked,
        anchor.key if anchor else None,
        events,
        {key: golden(stored.profiles[id]) for key, id in stored.home.items()},
        stored.home if names is not None else None,
        {row["loser"]: row["survivor"] for row in stored.tombstones},
    )
    return [f"{step.id}: {problem}" for problem in wrong(step.expect, seen, names)]


def golden(profile: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix("trait:"): value for name, value in profile.items() if name.startswith("trait:")}


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario_step_by_step(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    rules = parse_rules(scenario.rules)
    found: list[str] = []
    names: dict[str, str] = {}
    for step in scenario.steps:
        found += does_not_hold(scenario, step, play(graph, driver, [step], rules), rules, names)
    assert found == []


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario_in_another_order(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    """Times stay as they are, so the end is the same. People act at the end, and where that was to keep a pair apart
    something is said again.
    """
    rules = parse_rules(scenario.rules)
    said = [step for step in scenario.steps if not step.by_hand]
    by_hand = [step for step in scenario.steps if step.by_hand]
    random.shuffle(said)
    again = [replace(said[-1], id="again")] if any(step.keep_apart for step in by_hand) else []
    stored = play(graph, driver, [*said, *by_hand, *again], rules)
    order = ", ".join(step.id for step in said)
    assert does_not_hold(scenario, scenario.steps[-1], stored, rules) == [], order


@pytest.mark.parametrize("scenario", [s for s in load() if not any(step.by_hand for step in s.steps)], ids=str)
def test_scenario_in_one_batch(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    rules = parse_rules(scenario.rules)
    write_batch(graph, [observation_of(step, rules) for step in scenario.steps], rules)
    assert does_not_hold(scenario, scenario.steps[-1], read(driver), rules) == []
