"""Requests are what the service takes, and answers are looked at."""

import orjson
import pytest
from graphql import build_schema, parse, validate

from bench import product
from bench.memory import growth
from bench.product import (
    RESOLVE,
    SUBMIT_LINKS,
    BenchFailed,
    Outcome,
    all_accepted,
    all_resolved,
    checked,
    resolve_graphql,
    resolve_http,
    submit_links,
)
from identity_graph.api.schema import sdl


def body_of(request: bytes) -> dict[str, object]:
    return orjson.loads(request.partition(b"\r\n\r\n")[2])


def test_its_operations_are_valid() -> None:
    schema = build_schema(sdl())
    for operation in (SUBMIT_LINKS, RESOLVE):
        assert validate(schema, parse(operation)) == []


def test_lines_are_sent_as_they_are() -> None:
    observations = [{"id": "a", "source": "web", "identifiers": []}, {"id": "b", "traits": {"name": "Åsa"}}]
    sent = body_of(submit_links(orjson.dumps(o) for o in observations))
    assert sent == {"query": SUBMIT_LINKS, "variables": {"input": {"observations": observations}}}


def test_identifiers_are_sent_either_way() -> None:
    keys = [{"namespace": "email", "value": "ada@mail.example"}]
    assert body_of(resolve_graphql(keys)) == {"query": RESOLVE, "variables": {"identifiers": keys}}
    assert body_of(resolve_http(keys)) == {"identifiers": keys}


def test_an_answer_that_refuses_is_no_success() -> None:
    taken = b'{"data":{"submitLinks":{"results":[{"__typename":"ObservationAccepted"}]}}}'
    assert all_accepted(200, taken)
    assert not all_accepted(503, taken)
    assert not all_accepted(200, taken.replace(b"Accepted", b"Rejected"))
    assert not all_accepted(200, b'{"errors":[]}')
    found = b'{"results":[{"status":"RESOLVED"},{"status":"RESOLVED"}]}'
    assert all_resolved(2)(200, found)
    assert not all_resolved(2)(500, found)
    assert not all_resolved(2)(200, found.replace(b"RESOLVED", b"UNKNOWN", 1))


def test_rows_that_are_missing_are_no_speed() -> None:
    counts = {"read": 5, "accepted": 3, "duplicates": 1, "rejected": 1}
    outcome = Outcome(counts, 1.0, 100.0)
    assert checked(outcome, 3) is outcome
    with pytest.raises(BenchFailed, match=r"5 rows.*'rejected': 1"):
        checked(outcome, 5)


def test_a_command_that_fails_says_why() -> None:
    told = r"(?s)identity-graph rules check nowhere\.toml --json failed: .*nowhere\.toml"
    with pytest.raises(BenchFailed, match=told):
        product.run("rules", "check", "nowhere.toml")


def test_growth_leaves_out_the_beginning() -> None:
    filling = [float(mb) for mb in range(100)]
    assert growth([*filling, *[200.0] * 900]) == 0
    assert growth([200.0 + n / 10 for n in range(1000)]) == pytest.approx(80, abs=0.5)
    assert growth([200.0]) == 0
