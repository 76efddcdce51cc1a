"""What a simulation foretells is what the definition of the partition says, and it leaves no trace."""

from typing import Any

import neo4j
import pytest
from hypothesis import Phase, given, settings
from properties.worlds import RULES, SAID, Said, observed
from sending import said
from stored import empty, read

from identity_graph.domain.evidence import gather
from identity_graph.domain.partition import partition
from identity_graph.domain.rules import Rules
from identity_graph.services.simulation import MOST_AFFECTED, simulate
from identity_graph.services.submit import write_batch
from identity_graph.store.graph import Graph


@settings(max_examples=max(1, settings().max_examples // 5), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(RULES, RULES, SAID, SAID)
def test_other_rules_and_more_observations_give_what_the_partition_says(
    migrated: Graph, driver: neo4j.Driver, rules: Rules, others: Rules, said: list[Said], more: list[Said]
) -> None:
    empty(driver)
    taken, added = observed(said, rules), observed(more, rules, "more")
    write_batch(migrated, taken, rules)
    before = read(driver)
    found = simulate(migrated, others, added)
    assert read(driver) == before

    then = partition(gather([*taken, *added]), others)
    assert found.profiles == (len(before.active), len(then.profiles))
    assert found.shared == (len(before.shared), len(then.shared))
    assert sum(count for _, count in found.refused.values()) == len(then.refused)
    assert sum(count for count, _ in found.refused.values()) == len(before.refused)
    pairs = [(id, part) for id, keys in before.active.items() for part in then.profiles if keys & part]
    assert found.merges == len(pairs) - len({part for _, part in pairs})
    assert found.splits == len(pairs) - len({id for id, _ in pairs})
    changes: dict[str, tuple[int, int, int]] = {}
    for id, keys in before.active.items():
        parts = [part for one, part in pairs if one == id]
        joined = sum(1 for part in parts for one, other in pairs if other == part and one != id)
        if len(parts) - 1 + joined > 0:
            changes[id] = (len(keys), len(parts), joined)
    assert len(changes) <= MOST_AFFECTED
    assert {one.id: (one.size, one.parts, one.others) for one in found.affected} == changes


def test_others_may_write_while_it_reads(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, stream = Rules(), Graph.stream
    write_batch(graph, [said("one", "cookie_id:a", "cookie_id:b")], rules)

    def meanwhile(self: Graph, name: str, **parameters: Any) -> Any:
        if name == "verify/links":
            write_batch(graph, [said("two", "cookie_id:b", "cookie_id:c")], rules)
        return stream(self, name, **parameters)

    monkeypatch.setattr(Graph, "stream", meanwhile)
    assert simulate(graph, rules).profiles == (1, 1)
