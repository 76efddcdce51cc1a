"""Thousands of bad requests to a service of its own process: no 500, no defect in its log, no growth."""

import http.client
import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from identity_graph.neo4j_runtime import Connection

from .live import OPERATIONS, ROOT, command, on

#: Requests of each of the five kinds, and how far memory may rise after the first kind has warmed everything.
EXAMPLES = 1_000
MAX_GROWTH = 32 * 2**20
MAX_MEMORY = 300 * 2**20

# Shrinking is for a failure; a body that failed is printed and small enough.
FUZZ = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Target:
    """The service under fire and a connection kept open to it."""

    process: psutil.Process
    connection: http.client.HTTPConnection
    count: int = 0
    settled: int = 0

    def memory(self) -> int:
        return self.process.memory_info().rss

    def send(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
        self.count += 1
        if self.count == EXAMPLES:
            self.settled = self.memory()
        self.connection.request("POST", path, body, {"content-type": "application/json", **(headers or {})})
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status < 500, text
        assert b'"code":"INTERNAL"' not in text, text
        found = orjson.loads(text)
        if answer.status >= 400 and path == "/v1/resolve":
            assert found["code"]
            assert found["message"]
        return found


@pytest.fixture(scope="module")
def target(empty_database: Connection) -> Generator[Target]:
    with command("serve", "--port", "0", **on(empty_database)) as process:
        assert process.stdout is not None
        ready = re.fullmatch(r"ready (\S+)\n", process.stdout.readline())
        assert ready
        where = urlsplit(ready[1])
        found = Target(psutil.Process(process.pid), http.client.HTTPConnection(where.netloc, timeout=60))
        yield found
        found.connection.close()
        process.terminate()
        _, log = process.communicate(timeout=60)
        assert log == ""


# --- What is sent

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", " ", "\x00", "a\x00b", "null", "\u202e", "é" * 300, "x" * 600, "9" * 400, "a@b", "+31", "🦊"]),
    st.sampled_from(["email", "phone", "user_id", "record", "device_id", "no such namespace", "a:b", "9"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
IDENTIFIERS = st.fixed_dictionaries({"namespace": TEXTS, "value": TEXTS})
MOMENTS = st.one_of(
    TEXTS,
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.sampled_from(["0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "2026-02-30", "2026-W01-1", "1e9"]),
)


def spoiled(whole: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Something well-formed with a field replaced, removed or added, so that checks behind the first are reached."""

    def spoil(value: dict[str, Any], field: str, other: Any, remove: bool) -> dict[str, Any]:
        rest = {name: kept for name, kept in value.items() if name != field}
        return rest if remove else rest | {field: other}

    names = st.sampled_from(["id", "source", "recordId", "observedAt", "identifiers", "traits", "namespace", "value"])
    return st.one_of(whole, st.builds(spoil, whole, names | TEXTS, ANYTHING, st.booleans()))


OBSERVATIONS = spoiled(
    st.fixed_dictionaries(
        {"id": TEXTS, "source": TEXTS, "identifiers": st.lists(spoiled(IDENTIFIERS), max_size=4) | st.just([{}] * 21)},
        optional={"observedAt": MOMENTS, "recordId": TEXTS, "traits": st.dictionaries(TEXTS, ANYTHING, max_size=3)},
    )
)


def as_json(value: Any) -> bytes:
    """JSON as any client may write it: integers without bounds, and lone surrogates."""
    return json.dumps(value).encode()


def operation(name: str, variables: Any) -> bytes:
    return as_json({"query": (OPERATIONS / f"{name}.graphql").read_text(), "variables": variables})


# --- The attacks, in this order


@FUZZ
@given(observations=st.lists(OBSERVATIONS, min_size=1, max_size=3), dry_run=st.booleans())
def test_submit_links_near_misses(target: Target, observations: list[Any], dry_run: bool) -> None:
    body = target.send(
        "/graphql", operation("SubmitLinks", {"input": {"observations": observations, "dryRun": dry_run}})
    )
    if "data" in body:
        assert len(body["data"]["submitLinks"]["results"]) == len(observations)


@FUZZ
@given(variables=ANYTHING | st.fixed_dictionaries({"input": ANYTHING}))
def test_submit_links_nonsense(target: Target, variables: Any) -> None:
    assert "errors" in target.send("/graphql", operation("SubmitLinks", variables))


@FUZZ
@given(
    identifiers=st.lists(spoiled(IDENTIFIERS), max_size=5) | ANYTHING,
    more=st.dictionaries(st.sampled_from(["asOf", "extra"]), MOMENTS | ANYTHING, max_size=2),
)
def test_resolve(target: Target, identifiers: Any, more: dict[str, Any]) -> None:
    body = target.send("/graphql", operation("Resolve", {"identifiers": identifiers, **more}))
    assert "errors" in body or len(body["data"]["resolve"]) == (
        len(identifiers) if isinstance(identifiers, list) else 1
    )


@FUZZ
@given(
    identifiers=st.lists(spoiled(IDENTIFIERS), max_size=5) | ANYTHING,
    more=st.dictionaries(st.sampled_from(["asOf", "extra"]), MOMENTS | ANYTHING, max_size=2),
)
def test_lean_resolve(target: Target, identifiers: Any, more: dict[str, Any]) -> None:
    body = target.send("/v1/resolve", as_json({"identifiers": identifiers, **more}))
    assert "code" in body or len(body["results"]) == len(identifiers)


@FUZZ
@given(
    path=st.sampled_from(["/graphql", "/v1/resolve"]),
    body=st.binary(max_size=64) | ANYTHING.map(as_json) | TEXTS.map(lambda text: as_json({"query": text})),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "accept": st.sampled_from(["*/*", "text/html", "application/graphql-response+json", ",;=", ""]),
            "content-type": st.sampled_from(["application/json", "application/json;charset=x", "text/plain", ""]),
            "x-consistency-token": st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
            "authorization": st.sampled_from(["Bearer", "Bearer x", "Basic x"]),
        },
    ),
)
def test_malformed_requests(target: Target, path: str, body: bytes, headers: dict[str, str]) -> None:
    target.send(path, body, headers)


schemathesis.graphql.scalar("DateTime", MOMENTS.map(nodes.String))
schemathesis.graphql.scalar("JSON", TEXTS.map(nodes.String))
SCHEMA = schemathesis.graphql.from_path(ROOT / "graphql" / "schema.graphql")


ROOT_FIELDS = [found.ok() for found in SCHEMA.get_all_operations()]


# By names of their own, since those of the library's decorator are all the same.
@pytest.mark.parametrize("operation", ROOT_FIELDS, ids=[operation.label for operation in ROOT_FIELDS])
def test_whatever_the_schema_allows(operation: schemathesis.APIOperation, target: Target) -> None:
    @settings(FUZZ, max_examples=40)
    @given(operation.as_strategy())
    def whatever(case: schemathesis.Case) -> None:
        body = target.send("/graphql", orjson.dumps({"query": case.body}))
        assert "data" in body or body["errors"]

    whatever()


def test_nothing_grew(target: Target) -> None:
    assert target.count >= 5 * EXAMPLES
    assert target.memory() - target.settled < MAX_GROWTH
    assert target.memory() < MAX_MEMORY
