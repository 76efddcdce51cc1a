"""Every scenario on the real database: step by step, backwards, and as one batch."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import neo4j
import pytest
from scenarios.scenario import Scenario, Step, load, wrong
from stored import Stored, read

from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH, Rejection, parse_observation
from identity_graph.domain.rules import Rules
from identity_graph.services.rules_file import parse_rules
from identity_graph.services.stewardship import Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph


def observation_of(step: Step, rules: Rules) -> Observation:
    raw = {
        "id": step.id,
        "source": step.source,
        "observedAt": EPOCH + timedelta(microseconds=step.at),
        "identifiers": [{"namespace": namespace, "value": value} for namespace, value in step.identifiers],
    }
    taken = parse_observation(raw, rules, now())
    assert not isinstance(taken, Rejection), taken
    return taken


def play(graph: Graph, driver: neo4j.Driver, steps: Sequence[Step], rules: Rules) -> Stored:
    for step in steps:
        if step.keep_apart:
            Stewards(graph, rules, now).set_cannot_link(*step.keep_apart, None, "ann", "they are two")
        else:
            write_batch(graph, [observation_of(step, rules)], rules)
    return read(driver)


def does_not_hold(scenario: Scenario, step: Step, stored: Stored, rules: Rules) -> list[str]:
    ends = {id: frozenset((link["a"], link["b"])) for id, link in stored.links.items()}
    refused = {ends[id]: str(refusal.code) for id, refusal in stored.refused.items()}
    last = next(s for s in reversed(scenario.steps) if not s.keep_apart)
    anchor = observation_of(last, rules).anchor
    profiles = set(stored.active.values())
    found = wrong(step.expect, profiles, refused, stored.shared, stored.blocked, anchor.key if anchor else None)
    return [f"{step.id}: {problem}" for problem in found]


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario_step_by_step(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    rules = parse_rules(scenario.rules)
    found: list[str] = []
    for step in scenario.steps:
        stored = play(graph, driver, [step], rules)
        if not step.keep_apart:
            found += does_not_hold(scenario, step, stored, rules)
    assert found == []


@pytest.mark.parametrize("scenario", load(), ids=str)
def test_scenario_in_another_order(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    """Times stay as they are, so the end is the same. Pairs are kept apart at the end, and something is said again."""
    rules = parse_rules(scenario.rules)
    said = [step for step in scenario.steps if not step.keep_apart]
    by_hand = [step for step in scenario.steps if step.keep_apart]
    random.shuffle(said)
    again = [replace(said[-1], id="again")] if by_hand else []
    stored = play(graph, driver, [*said, *by_hand, *again], rules)
    order = ", ".join(step.id for step in said)
    assert does_not_hold(scenario, scenario.steps[-1], stored, rules) == [], order


@pytest.mark.parametrize("scenario", [s for s in load() if not any(step.keep_apart for step in s.steps)], ids=str)
def test_scenario_in_one_batch(graph: Graph, driver: neo4j.Driver, scenario: Scenario) -> None:
    rules = parse_rules(scenario.rules)
    write_batch(graph, [observation_of(step, rules) for step in scenario.steps], rules)
    assert does_not_hold(scenario, scenario.steps[-1], read(driver), rules) == []
