"""The benchmark's streams look like identity traffic, and are the same every time."""

import itertools
import tracemalloc
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench import streams
from bench.streams import lookups, observations, write_jsonl
from identity_graph.domain.evidence import RefusalCode, gather, observation
from identity_graph.domain.identifiers import identify
from identity_graph.domain.partition import partition
from identity_graph.domain.rules import Rules

RULES = Rules()


def keys(item: dict[str, Any]) -> list[str]:
    return [f"{i['namespace']}:{i['value'].lower()}" for i in item["identifiers"]]


@pytest.fixture(scope="module")
def stream() -> list[dict[str, Any]]:
    return list(observations(20_000, seed=3))


def test_the_same_seed_gives_the_same_stream(stream: list[dict[str, Any]]) -> None:
    assert list(observations(20_000, seed=3)) == stream


def test_two_seeds_share_nothing_but_junk() -> None:
    one, other = ({k for o in observations(2_000, seed=seed) for k in keys(o)} for seed in (1, 2))
    assert {key for key in one & other if not RULES.is_blocked_key(key)} == set()


@pytest.mark.parametrize("wanted", [1_000, 20_000])
def test_it_reaches_the_number_of_identifiers(wanted: int) -> None:
    known = {key for o in observations(wanted, seed=5) for key in keys(o)}
    assert len(known) == pytest.approx(wanted, rel=0.02)


def test_it_reaches_the_number_of_observations() -> None:
    assert len(list(observations(n_observations=1_234))) == 1_234


@pytest.mark.parametrize("lengths", [{}, {"n_identifiers": 0}, {"n_identifiers": 5, "n_observations": 5}])
def test_its_length_must_be_one_positive_number(lengths: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="either n_identifiers or n_observations"):
        next(observations(**lengths))


def test_ids_are_unique_and_time_nearly_rises(stream: list[dict[str, Any]]) -> None:
    assert len({o["id"] for o in stream}) == len(stream)
    times = [datetime.fromisoformat(o["observedAt"]) for o in stream]
    late = sum(later < earlier for earlier, later in itertools.pairwise(times))
    assert 0.005 < late / len(stream) < 0.03


def test_it_has_the_proportions_of_identity_traffic(stream: list[dict[str, Any]]) -> None:
    sizes = Counter(len(o["identifiers"]) for o in stream)
    assert (sizes[2] + sizes[3]) / len(stream) > 0.9
    contents = Counter(tuple(keys(o)) for o in stream)
    assert 1 - len(contents) / len(stream) == pytest.approx(0.25, abs=0.03)
    junk = sum(any(RULES.is_blocked_key(key) for key in keys(o)) for o in stream)
    assert 0.003 < junk / len(stream) < 0.008
    assert Counter(key for o in stream for key in keys(o)).most_common(1)[0][1] > 50


def test_most_cookies_are_nameless_before_a_log_in(stream: list[dict[str, Any]]) -> None:
    first: dict[str, set[str]] = {}
    named: set[str] = set()
    for o in stream:
        namespaces = {i["namespace"] for i in o["identifiers"]}
        for key in keys(o):
            if key.startswith("cookie_id:"):
                first.setdefault(key, namespaces)
                named |= {key} if "user_id" in namespaces else set()
    nameless_first = sum("user_id" not in first[key] for key in named)
    assert nameless_first / len(named) > 0.75


def test_its_people_resolve_to_one_to_eight_identifiers(stream: list[dict[str, Any]]) -> None:
    understood = (
        observation(
            o["id"], o["source"], n, [identify(i["namespace"], i["value"], RULES) for i in o["identifiers"]], "", RULES
        )
        for n, o in enumerate(stream)
    )
    found = partition(gather(understood), RULES)
    sizes = Counter(len(members) for members in found.profiles)
    assert sum(n for size, n in sizes.items() if size <= 8) / len(found.profiles) > 0.99
    assert max(sizes) <= 12
    refused = Counter(refusal.code for refusal in found.refused.values())
    assert refused[RefusalCode.UNIQUE_NAMESPACE] > 5, "no family device was refused"
    assert len(refused) > 1


def test_profiles_that_exist_must_merge(stream: list[dict[str, Any]]) -> None:
    """The middle of the stream joins profiles that a batch of 2,000 does not hold both of."""
    last: dict[str, int] = defaultdict(int)
    far = 0
    for n, o in enumerate(stream):
        seen = [last[key] for key in keys(o) if key in last]
        far += len(seen) == 2 and all(n - at > 50 for at in seen) and seen[0] != seen[1]
        last.update(dict.fromkeys(keys(o), n))
    assert far / len(stream) > 0.05


def test_lookups_are_known_identifiers(stream: list[dict[str, Any]]) -> None:
    known = {key for o in stream for key in keys(o)}
    asked = [f"{key['namespace']}:{key['value']}" for key in lookups(20_000, 2_000, seed=3)]
    assert [key for key in asked if key not in known] == []
    assert len(set(asked)) > 1_000


def test_it_needs_no_memory() -> None:
    tracemalloc.start()
    try:
        for _ in observations(n_observations=15_000):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000


def test_it_writes_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = list(observations(500, seed=4))
    assert write_jsonl(tmp_path / "a.jsonl", made) == len(made)
    streams.main([str(tmp_path / "b.jsonl"), "--identifiers", "500", "--seed", "4"])
    assert capsys.readouterr().out.startswith(f"{len(made):,} observations")
    for name in ("a.jsonl", "b.jsonl"):
        assert [orjson.loads(line) for line in (tmp_path / name).read_bytes().splitlines()] == made
