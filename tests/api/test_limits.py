"""What one request may ask for, and what the protocol allows."""

import gzip
import json
from typing import Any

import pytest

from identity_graph.api.graphql_http import MAX_MUTATION_BODY, MAX_QUERY_BODY
from identity_graph.api.limits import MAX_ALIASES, MAX_COST, MAX_DIRECTIVES, MAX_ROOT_FIELDS, MAX_TOKENS

from .live import OPERATIONS, Service, an_email, seen

GRAPHQL, JSON = "application/graphql-response+json", "application/json"


def aliased(count: int, field: str = "__typename") -> str:
    return "{" + " ".join(f"a{n}: {field}" for n in range(count)) + "}"


def fragments(levels: int) -> str:
    """Each fragment spreads the next one twice: a walk that repeats itself would take 2^levels steps."""
    parts = [
        f"fragment F{n} on Query {{ ...F{n + 1} ...G{n} }} fragment G{n} on Query {{ ...F{n + 1} }}"
        for n in range(levels)
    ]
    return "{ ...F0 } " + " ".join(parts) + f" fragment F{levels} on Query {{ __typename }}"


def told(service: Service, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    return service.post(query, variables).json()


@pytest.mark.parametrize(
    ("allowed", "refused", "what"),
    [
        (aliased(MAX_ALIASES), aliased(MAX_ALIASES + 1), "aliases"),
        (
            "{" + " ".join(f"... @include(if: true) {{ x{n}: __typename }}" for n in range(MAX_DIRECTIVES)) + "}",
            "{" + " ".join(["... @include(if: true) { __typename }"] * (MAX_DIRECTIVES + 1)) + "}",
            "directives",
        ),
        (
            aliased(MAX_ROOT_FIELDS, "node(id: 1) { id }"),
            aliased(MAX_ROOT_FIELDS + 1, "node(id: 1) { id }"),
            "root fields",
        ),
    ],
)
def test_a_document_has_limits(service: Service, allowed: str, refused: str, what: str) -> None:
    assert "errors" not in told(service, allowed)
    (error,) = told(service, refused)["errors"]
    assert error["extensions"]["code"] == "TOO_COMPLEX"
    assert what in error["message"]


def test_eight_fields_deep_is_allowed_and_nine_are_not(service: Service) -> None:
    deepest = (OPERATIONS / "MergeLineage.graphql").read_text()
    assert "errors" not in told(service, deepest, {"profileId": "x"})
    query = """{ node(id: 1) { ... on Profile { lineage { edges { node { cause { ... on LinkCause { link {
        from { value } } } } } } } } } }"""
    assert "errors" not in told(service, query)
    mutation = """mutation($i: SubmitLinksInput!) { submitLinks(input: $i) { results { ... on ObservationAccepted {
        profile { lineage { edges { node { cause { ... on LinkCause { link { id } } } } } } } } } } }"""
    (error,) = told(service, mutation, {"i": {"observations": []}})["errors"]
    assert (error["extensions"]["code"], "9 fields deep" in error["message"]) == ("TOO_COMPLEX", True)


def test_tokens_are_counted_before_anything_else(service: Service) -> None:
    (error,) = told(service, "{" + " __typename" * MAX_TOKENS + "}")["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
    assert str(MAX_TOKENS) in error["message"]


def test_cost_is_counted_with_the_variables(service: Service) -> None:
    query = "query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { profile { goldenRecord { name } } } }"
    identifiers = [{"namespace": "user_id", "value": f"cost-{n}"} for n in range(1000)]
    assert "errors" not in told(service, query, {"i": identifiers[:500]})
    (error,) = told(service, query, {"i": identifiers})["errors"]
    assert error["extensions"]["code"] == "TOO_COMPLEX"
    assert str(MAX_COST) in error["message"]


def test_cost_is_counted_with_defaults_literals_and_nested_input(service: Service) -> None:
    inner = "lineage(first: 100) { edges { node { participants { role } } } }"
    many = ", ".join('{namespace: "user_id", value: "x"}' for _ in range(20))
    for query in (
        f"{{ resolve(identifiers: [{many}]) {{ profile {{ {inner} }} }} }}",
        f"query($n: Int! = 100) {{ a: node(id: 1) {{ ... on Profile {{ {inner.replace('100', '$n')} }} }} "
        + " ".join(f"b{n}: profile(id: {n}) {{ {inner.replace('100', '$n')} }}" for n in range(9))
        + "}",
    ):
        (error,) = told(service, query)["errors"]
        assert error["extensions"]["code"] == "TOO_COMPLEX", error


def test_fragments_cannot_multiply_the_work_of_counting(service: Service) -> None:
    body = told(service, fragments(60))
    assert body.get("data") == {"__typename": "Query"} or body["errors"][0]["extensions"]["code"] == "TOO_COMPLEX"


def test_five_errors_are_enough(service: Service) -> None:
    assert len(told(service, "{" + " ".join(f"nothing{n}" for n in range(50)) + "}")["errors"]) == 5
    bad = [{"namespace": n} for n in range(50)]
    query = "query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }"
    assert len(told(service, query, {"i": bad})["errors"]) == 5
    failing = " ".join(f'n{n}: crossDevice(device: {{namespace: "?", value: "x"}}) {{ status }}' for n in range(9))
    assert len(told(service, f"{{ {failing} }}")["errors"]) <= 5


def test_a_large_query_is_refused_and_500_observations_are_not(service: Service) -> None:
    padded = {"query": "{ __typename }", "extensions": {"pad": "x" * MAX_QUERY_BODY}}
    answer = service.http.post("/graphql", json=padded)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    observations = [seen(an_email(), traits={"note": "x" * 1_000}) for _ in range(500)]
    assert len(json.dumps(observations)) > 2 * MAX_QUERY_BODY
    results = service.submit(*observations, dry_run=True)
    assert {result["__typename"] for result in results} == {"ObservationAccepted"}
    for count in (0, 501):
        (error,) = told(
            service,
            "mutation($i: SubmitLinksInput!) { submitLinks(input: $i) { consistencyToken } }",
            {"i": {"observations": observations[:1] * count}},
        )["errors"]
        assert (error["extensions"]["code"], "500" in error["message"]) == ("BAD_INPUT", True)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/graphql", "/v1/resolve"])
def test_a_huge_body_is_not_read_to_its_end(service: Service, path: str, chunked: bool) -> None:
    size = MAX_MUTATION_BODY + 1
    body: Any = (b"x" * 65_536 for _ in range(size // 65_536 + 1)) if chunked else b"x" * size
    answer = service.http.post(path, content=body, headers={"content-type": JSON})
    assert answer.status_code == 413
    assert "PAYLOAD_TOO_LARGE" in answer.text


# --- The protocol


@pytest.mark.parametrize("path", ["/graphql", "/v1/resolve"])
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"null", JSON, 400),
        (b"[]", JSON, 400),
        (b'[{"query": "{ __typename }"}]', JSON, 400),
        (b'"query"', JSON, 400),
        (b'{"query": NaN}', JSON, 400),
        (b'{"query": "\\ud800"}', JSON, 400),
        (b'{"query": "\xff\xfe"}', JSON, 400),
        (b'{"query": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", JSON, 400),
        (b'{"query": 7}', JSON, 400),
        (b'{"query": ""}', JSON, 400),
        (b'{"query": "{ __typename }", "variables": [1]}', JSON, 400),
        (b'{"identifiers": {"namespace": "email"}}', JSON, 400),
        (b'{"identifiers": [{"namespace": "email", "value": 7}]}', JSON, 400),
        (b'{"identifiers": [], "asOf": 7}', JSON, 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/json; charset=utf-16", 415),
        (b"{}", "", 415),
        (gzip.compress(b"{}", mtime=0), JSON, 400),
    ],
)
def test_a_malformed_body_is_told_what_was_expected(
    service: Service, path: str, body: bytes, content_type: str, status: int
) -> None:
    answer = service.http.post(path, content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    found = answer.json()
    error = found["errors"][0] if path == "/graphql" else found
    assert error["message"]
    assert "INTERNAL" not in answer.text


@pytest.mark.parametrize(
    ("variables", "codes"),
    [
        ({"i": [{"namespace": "user_id", "value": "a\x00b"}]}, {"INVALID"}),
        ({"i": [{"namespace": "user_id", "value": "x" * 10_000}]}, {"INVALID"}),
        ({"i": [{"namespace": "user_id", "value": 10**30}]}, {"BAD_INPUT"}),
        ({"i": [{"namespace": None, "value": "x"}]}, {"BAD_INPUT"}),
        ({"i": [{"namespace": "user_id", "value": "x", "more": 1}]}, {"BAD_INPUT"}),
        ({"i": None}, {"BAD_INPUT"}),
        ({}, {"BAD_INPUT"}),
    ],
)
def test_strange_variables_are_told_what_was_expected(
    service: Service, variables: dict[str, Any], codes: set[str]
) -> None:
    query = "query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }"
    body = service.post(query, variables).json()
    if "errors" in body:
        assert {error["extensions"]["code"] for error in body["errors"]} == codes
    else:
        assert {found["status"] for found in body["data"]["resolve"]} == codes


@pytest.mark.parametrize("depth", [100, 250, 900])
def test_deep_traits_come_back_or_are_refused(service: Service, depth: int) -> None:
    deep: Any = "bottom"
    for _ in range(depth):
        deep = [deep]
    email = an_email()
    (result,) = service.submit(seen(email, traits={"deep": deep}))
    if result["__typename"] == "ObservationRejected":
        assert result["path"] == ["traits", "deep"]
    else:
        profile = service.run("Customer360", {"identifier": email})["profileByIdentifier"]
        assert profile["records"]["edges"][0]["node"]["traits"] == {"deep": deep}
        assert profile["goldenRecord"][0]["value"] == deep


def test_mutations_are_sent_by_post_only(service: Service) -> None:
    mutation = "mutation { submitLinks(input: {observations: []}) { consistencyToken } }"
    answer = service.http.get("/graphql", params={"query": mutation}, headers={"accept": JSON})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert service.http.get("/graphql", params={"query": "{ __typename }"}).json()["data"] == {"__typename": "Query"}
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert service.http.request(method, "/graphql").status_code == 405


@pytest.mark.parametrize(
    ("accept", "status", "media_type"),
    [
        (GRAPHQL, 400, GRAPHQL),
        (JSON, 200, JSON),
        ("*/*", 200, JSON),
        (f"{GRAPHQL}, {JSON};q=0.9", 400, GRAPHQL),
        (f"{JSON}, {GRAPHQL}", 200, JSON),
        ("text/csv", 406, JSON),
    ],
)
def test_the_status_of_an_invalid_document_depends_on_the_media_type(
    service: Service, accept: str, status: int, media_type: str
) -> None:
    answer = service.post("{ nonsense }", accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (status, f"{media_type}; charset=utf-8")


def test_the_same_document_is_prepared_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    query = f"# {an_email()['value']}\n{{ __typename }}"
    service.post(query)

    def never(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("identity_graph.api.documents.parse", never)
    assert told(service, query) == {"data": {"__typename": "Query"}}
