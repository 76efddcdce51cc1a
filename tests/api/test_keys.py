"""Who may do what: keys and their scopes, and this machine only without keys."""

import pytest

from identity_graph.api.keys import Scope, digest, new_key, parse_keys
from identity_graph.app import CannotServe, is_loopback, serve

from .live import Locked, Service, an_email, seen

READ = "query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status profile { size } } }"
WRITE = """mutation($o: [ObservationInput!]!) { submitLinks(input: {observations: $o}) { results {
    ... on ObservationAccepted { profile { id size } } } } }"""
SPY = WRITE.replace("size", "goldenRecord { name }")
SPY_MEMBERS = """mutation {
    defineSegment(input: {name: "spied", rule: {seen: {withinDays: 1}}, dryRun: true}) { outcome {
    ... on SegmentDefined { segment { name members { totalCount } } } } } }"""
SPY_CHANGES = SPY_MEMBERS.replace("members { totalCount }", "changes { edges { node { profileId } } }")
LOOK = "{ __schema { queryType { name } } }"
TYPO = "{ resolv }"


def code(locked: Locked, scope: str, query: str) -> tuple[int, str | None]:
    """The status and the code of the first error, if any."""
    variables = {"i": [an_email()]} if "$i" in query else {"o": [seen(an_email())]} if "$o" in query else {}
    headers = {"accept": "application/graphql-response+json", **locked.headers(scope)}
    answer = locked.service.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    errors = answer.json().get("errors")
    return answer.status_code, errors and errors[0]["extensions"]["code"]


@pytest.mark.parametrize(
    ("scope", "query", "expected"),
    [
        ("read", READ, (200, None)),
        ("read", WRITE, (403, "FORBIDDEN")),
        ("read", LOOK, (400, "GRAPHQL_VALIDATION_FAILED")),
        ("write", WRITE, (200, None)),
        ("write", READ, (403, "FORBIDDEN")),
        ("write", SPY, (200, "FORBIDDEN")),
        ("write", SPY_MEMBERS, (200, "FORBIDDEN")),
        ("write", SPY_CHANGES, (200, "FORBIDDEN")),
        ("write", LOOK, (400, "GRAPHQL_VALIDATION_FAILED")),
        ("admin", READ, (200, None)),
        ("admin", WRITE, (200, None)),
        ("admin", SPY, (200, None)),
        ("admin", SPY_MEMBERS, (200, None)),
        ("admin", LOOK, (200, None)),
    ],
)
def test_a_scope_opens_what_it_names(locked: Locked, scope: str, query: str, expected: tuple[int, str | None]) -> None:
    assert code(locked, scope, query) == expected


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (TYPO, {}),
        ("query Q($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }", {"i": [{"namespac": ""}]}),
    ],
)
def test_the_schema_is_not_given_away_by_suggestions(
    locked: Locked, service: Service, query: str, variables: dict[str, object]
) -> None:
    asked = {"query": query, "variables": variables}
    assert "Did you mean" not in locked.service.http.post("/graphql", json=asked, headers=locked.headers("read")).text
    assert "Did you mean" in service.http.post("/graphql", json=asked).text


@pytest.mark.parametrize("path", ["/graphql", "/v1/resolve"])
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "Bearer é"])
def test_without_a_key_nothing_is_answered(locked: Locked, path: str, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode()}
    answer = locked.service.http.post(path, json={"query": "{ __typename }", "identifiers": []}, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert "UNAUTHENTICATED" in answer.text


def test_lean_resolve_needs_the_scope_read(locked: Locked) -> None:
    for scope, status in (("read", 200), ("write", 403), ("admin", 200)):
        answer = locked.service.http.post(
            "/v1/resolve", json={"identifiers": [an_email()]}, headers=locked.headers(scope)
        )
        assert answer.status_code == status


def test_health_needs_no_key(locked: Locked) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert locked.service.http.get(path).status_code == 200


def test_with_keys_there_is_no_graphiql(locked: Locked) -> None:
    answer = locked.service.http.get("/graphql", headers={"accept": "text/html"})
    assert answer.status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.evil.example"])
def test_a_page_on_another_site_cannot_speak_to_an_open_service(service: Service, host: str) -> None:
    """Its name may resolve to this machine (DNS rebinding), but it stays in the Host header."""
    for path in ("/graphql", "/v1/resolve"):
        answer = service.http.post(path, json={"query": "{ __typename }", "identifiers": []}, headers={"host": host})
        assert answer.status_code == 403
    for name in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]"):
        assert (
            service.http.post("/graphql", json={"query": "{ __typename }"}, headers={"host": name}).status_code == 200
        )


def test_other_machines_are_answered_only_with_keys() -> None:
    def never() -> None:
        raise AssertionError

    with pytest.raises(CannotServe, match="identity-graph keys new"):
        serve("0.0.0.0", 0, (), never, never)  # pyright: ignore[reportArgumentType]
    assert [is_loopback(host) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.com")] == [False] * 4


def test_a_key_is_kept_as_its_hash_only() -> None:
    text, key = new_key("shop", frozenset({Scope.READ, Scope.WRITE}))
    assert text not in str(key)
    assert str(key) == f"shop:read+write:{digest(text)}"
    assert parse_keys(f"{key}, {new_key('other', frozenset({Scope.ADMIN}))[1]}")[0] == key
    assert text != new_key("shop", key.scopes)[0]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("shop", "name:scope\\+scope:sha256"),
        ("shop:read:", "name:scope\\+scope:sha256"),
        (f"shop:reed:{'0' * 64}", "reed is no scope"),
        ("shop:read:0123", "64 hexadecimal digits"),
        (f"shop:read:{'0' * 64},shop:write:{'1' * 64}", "two API keys have the name shop"),
    ],
)
def test_a_key_that_cannot_be_read_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_keys(text)
