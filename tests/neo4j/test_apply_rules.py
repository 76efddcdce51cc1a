"""Other rules for a graph that is in use: afterwards it is as if they had been there from the start."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import neo4j
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from properties.worlds import JUNK, RULES, SAID, Said, observed
from stored import Stored, empty, problems, read

from identity_graph.domain.rules import Blocked, Rules
from identity_graph.services.active_rules import active_rules
from identity_graph.services.apply_rules import apply_rules, former_rules
from identity_graph.services.stewardship import Declined, Stewards
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph

ANY = st.integers(0, 99)
#: Rules that differ in what is junk as well.
OTHERS = st.builds(
    lambda rules, junk: replace(rules, blocked=Blocked(frozenset({JUNK, *junk}))),
    RULES,
    st.sampled_from([(), ("a",), ("b",), ("a", "b", "c", "d")]),
)


def apply(graph: Graph, rules: Rules) -> int:
    return apply_rules(graph, rules, now, "ann", "because", lambda what, many: None).resolved


def start(graph: Graph, driver: neo4j.Driver, rules: Rules, said: list[Said]) -> Stored:
    empty(driver)
    active_rules(graph, rules, now())
    write_batch(graph, observed(said, rules), rules)
    return read(driver)


def keep_apart(
    graph: Graph, driver: neo4j.Driver, rules: Rules, stored: Stored, pairs: list[tuple[int, int]]
) -> Stored:
    """Let a steward say of some pairs of identifiers that they are two people."""
    stewards, keys = Stewards(graph, rules, now), sorted(stored.home)
    for one, other in pairs if keys else []:
        with suppress(Declined):
            stewards.set_cannot_link(keys[one % len(keys)], keys[other % len(keys)], None, "ann", "because")
    return read(driver)


def told(stored: Stored) -> dict[str, Any]:
    """What a graph says of people, whatever it was before."""
    profiles = {id: {k: v for k, v in stored.profiles[id].items() if k != "version"} for id in stored.active}
    return {"home": stored.home, "refused": stored.refused, "shared": stored.shared, "profiles": profiles}


@settings(max_examples=max(1, settings().max_examples // 2), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(OTHERS, OTHERS, SAID, SAID, st.lists(st.tuples(ANY, ANY), max_size=2))
def test_afterwards_the_graph_is_what_the_new_rules_make_of_the_evidence_and_it_can_be_taken_back(
    migrated: Graph,
    driver: neo4j.Driver,
    rules: Rules,
    others: Rules,
    said: list[Said],
    more: list[Said],
    apart: list[tuple[int, int]],
) -> None:
    assume(rules.version != others.version)
    before = keep_apart(migrated, driver, rules, start(migrated, driver, rules, said), apart)
    apply(migrated, others)
    after = read(driver)
    taken = observed(said, others)
    assert problems(after, taken, others, others.blocked.values) == []
    assert apply(migrated, others) == 0
    assert read(driver) == after

    apply(migrated, former_rules(migrated))
    back = read(driver)
    assert problems(back, observed(said, rules), rules, rules.blocked.values) == []
    assert told(back) == told(before)

    added = observed(more, rules, "more")
    write_batch(migrated, added, rules)
    then = read(driver)
    assert problems(then, [*observed(said, rules), *added], rules, rules.blocked.values) == []
