"""Every code of the contract, through HTTP."""

import asyncio
import re
import threading
from typing import Any

import neo4j
import pytest

from identity_graph.api import errors
from identity_graph.api.mutation import REJECTION_CODES, WARNING_CODES
from identity_graph.services.submit import Overloaded
from identity_graph.store import errors as store
from identity_graph.store.graph import Graph

from .live import ROOT, Service, an, an_email, seen, wait_until

LONG_AGO, FAR_AHEAD = "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("code", "path", "fields"),
    [
        ("INVALID_IDENTIFIER", ["identifiers", "0", "value"], {"identifiers": [an("email", "no address")]}),
        ("INVALID_IDENTIFIER", ["identifiers", "0", "value"], {"identifiers": [an("user_id", "nul\x00")]}),
        ("INVALID_IDENTIFIER", ["identifiers", "0", "value"], {"identifiers": [an("user_id", "x" * 513)]}),
        ("INVALID_IDENTIFIER", ["identifiers", "0", "namespace"], {"identifiers": [an("9 lives", "x")]}),
        ("INVALID_IDENTIFIER", ["identifiers"], {"identifiers": []}),
        (
            "TOO_MANY_IDENTIFIERS",
            ["identifiers"],
            {"identifiers": [an("email", f"{n}@example.com") for n in range(21)]},
        ),
        ("TIMESTAMP_OUT_OF_RANGE", ["observedAt"], {"observedAt": LONG_AGO}),
        ("TIMESTAMP_OUT_OF_RANGE", ["observedAt"], {"observedAt": FAR_AHEAD}),
        ("TIMESTAMP_OUT_OF_RANGE", ["observedAt"], {"observedAt": "yesterday"}),
        ("PAYLOAD_TOO_LARGE", ["traits", "essay"], {"traits": {"essay": "x" * 40_000}}),
    ],
)
def test_a_bad_observation_is_refused_alone(
    service: Service, code: str, path: list[str], fields: dict[str, Any]
) -> None:
    good, bad, other = seen(an_email()), seen(an_email(), **fields), seen(an_email())
    results = service.submit(good, bad, other)
    assert [result["__typename"] for result in results] == [
        "ObservationAccepted",
        "ObservationRejected",
        "ObservationAccepted",
    ]
    refused = results[1]
    assert (refused["code"], refused["path"], refused["observationId"]) == (code, path, bad["id"])
    assert refused["message"]
    if bad["identifiers"] and code != "INVALID_IDENTIFIER":
        assert service.resolve(bad["identifiers"][0])[0]["status"] == "UNKNOWN"


def test_the_schema_names_every_code_of_a_rejection() -> None:
    """A client can only foresee what is named, warnings too. Files have one more: that a row cannot be read."""
    package = ROOT / "identity_graph"
    used = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', (package / "domain" / "intake.py").read_text()))
    for path in (package / "services").glob("*.py"):
        used |= set(re.findall(r'Rejection\([^"]*"([A-Z_]+)"', path.read_text()))
    assert set(re.findall(r"`([A-Z_]+)`", REJECTION_CODES + WARNING_CODES)) == used - {"UNREADABLE_ROW"}


def test_an_id_with_other_content_is_refused(service: Service) -> None:
    first = seen(an_email())
    service.submit(first)
    (refused,) = service.submit(first | {"identifiers": [an_email()]})
    assert (refused["__typename"], refused["code"]) == ("ObservationRejected", "ID_REUSED")
    one, other = seen(an_email()), an_email()
    taken, refused = service.submit(one, one | {"identifiers": [other]})
    assert (taken["__typename"], refused["code"]) == ("ObservationAccepted", "ID_REUSED")
    assert service.resolve(other)[0]["status"] == "UNKNOWN"


def test_strict_rules_refuse_a_namespace_that_they_do_not_name(narrow: Service) -> None:
    (refused,) = narrow.submit(seen(an("shoe_size", "42")))
    assert (refused["code"], refused["path"]) == ("UNKNOWN_NAMESPACE", ["identifiers", "0", "namespace"])
    (found,) = narrow.resolve(an("shoe_size", "42"))
    assert found["status"] == "INVALID"


def test_each_status_of_resolve(service: Service) -> None:
    email, tablet = an_email(), an("device_id")
    service.submit(seen(email), *(seen(an("user_id"), tablet) for _ in range(6)))
    asked = [email, an_email(), an("user_id", "null"), tablet, an("email", "no address")]
    found = service.resolve(*asked)
    assert [f["status"] for f in found] == ["RESOLVED", "UNKNOWN", "BLOCKED", "SHARED", "INVALID"]
    assert [f["profile"] is None for f in found] == [False, True, True, True, True]
    assert service.run("CrossDevice", {"device": tablet})["crossDevice"]["status"] == "SHARED"


# --- Why a link was refused


def refusals(service: Service, *observations: dict[str, Any]) -> list[dict[str, Any]]:
    """What the last of the observations, sent one by one, was told of its links."""
    for observation in observations:
        (result,) = service.submit(observation)
    assert result["__typename"] == "ObservationAccepted", result
    return result["refusedLinks"]


def test_unique_namespace(service: Service) -> None:
    email, one, other = an_email(), an("user_id"), an("user_id")
    told = refusals(service, seen(one, email), seen(other, email, observedAt="2026-02-01T10:00:00Z"))
    assert [link["code"] for link in told] == ["UNIQUE_NAMESPACE"]
    assert {told[0]["from"]["value"], told[0]["to"]["value"]} == {other["value"], email["value"]}
    assert one["value"] in told[0]["message"]


def test_namespace_limit(narrow: Service) -> None:
    user = an("user_id")
    badges = [seen(user, an("badge"), observedAt=f"2026-03-0{4 - n}T10:00:00Z") for n in range(3)]
    assert [link["code"] for link in refusals(narrow, *badges)] == ["NAMESPACE_LIMIT"]


def test_size_cap(narrow: Service) -> None:
    user = an("user_id")
    sightings = [seen(user, an_email(), observedAt=f"2026-03-0{9 - n}T10:00:00Z") for n in range(5)]
    assert [link["code"] for link in refusals(narrow, *sightings)] == ["SIZE_CAP"]


def test_shared_identifier(service: Service) -> None:
    tablet = an("device_id")
    told = refusals(service, *(seen(an("user_id"), tablet) for _ in range(7)))
    assert [link["code"] for link in told] == ["SHARED_IDENTIFIER"]


def test_blocked_value(service: Service) -> None:
    told = refusals(service, seen(an_email(), an("user_id", "undefined")))
    assert [link["code"] for link in told] == ["BLOCKED_VALUE"]


def test_cannot_link(service: Service) -> None:
    father, son, email = an("crm_id"), an("loyalty_id"), an_email()
    service.submit(seen(father), seen(son))
    service.run("SetCannotLink", {"input": {"a": father, "b": son, "reason": "father and son"}})
    told = refusals(service, seen(father, email), seen(son, email, observedAt="2026-02-01T10:00:00Z"))
    assert [link["code"] for link in told] == ["CANNOT_LINK"]


# --- Errors of a whole request


@pytest.mark.parametrize(
    ("query", "variables", "code", "named"),
    [
        (
            '{ profileByIdentifier(identifier: {namespace: "email", value: "x"}) { id } }',
            {},
            "INVALID_IDENTIFIER",
            "value",
        ),
        ('{ crossDevice(device: {namespace: "?", value: "x"}) { status } }', {}, "INVALID_IDENTIFIER", "namespace"),
        ('{ profile(id: "x", asOf: "soon") { id } }', {}, "BAD_INPUT", "asOf"),
        ('{ profile(id: "x", asOf: 7) { id } }', {}, "GRAPHQL_VALIDATION_FAILED", "2026-03-01T10:00:00Z"),
        ('query($t: DateTime) { profile(id: "x", asOf: $t) { id } }', {"t": 7}, "BAD_INPUT", "2026-03-01T10:00:00Z"),
        ("query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }", {"i": 7}, "BAD_INPUT", "$i"),
        (
            "query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }",
            {"i": [{"namespace": "email", "value": "x"}] * 1001},
            "BAD_INPUT",
            "1000",
        ),
        ("{ nonsense }", {}, "GRAPHQL_VALIDATION_FAILED", "nonsense"),
        ("{ node(id: ", {}, "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ],
)
def test_errors_have_a_code_and_name_the_field(
    service: Service, query: str, variables: dict[str, Any], code: str, named: str
) -> None:
    (error,) = service.post(query, variables).json()["errors"]
    assert error["extensions"] == {"code": code, "retryable": False}
    assert named in error["message"]


@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1])
@pytest.mark.parametrize("field", ["identifiers", "records", "lineage"])
def test_a_page_has_one_to_a_hundred_items(service: Service, field: str, first: int) -> None:
    (told,) = service.submit(seen(an_email()))
    query = f"query($id: ID!, $n: Int!) {{ profile(id: $id) {{ {field}(first: $n) {{ totalCount }} }} }}"
    (error,) = service.post(query, {"id": told["profile"]["id"], "n": first}).json()["errors"]
    assert error["extensions"]["code"] in ("BAD_INPUT", "TOO_COMPLEX")
    assert "first" in error["message"] or "pages" in error["message"]


@pytest.mark.parametrize("cursor", ["", "nonsense", "WzFd", "W10", "WyJhIiwiYiJd", "é" * 5])
def test_a_cursor_that_was_never_given_out_is_refused(service: Service, cursor: str) -> None:
    (told,) = service.submit(seen(an_email()))
    query = "query($id: ID!, $c: String) { profile(id: $id) { lineage(after: $c) { totalCount } } }"
    (error,) = service.post(query, {"id": told["profile"]["id"], "c": cursor}).json()["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("BAD_INPUT", ["profile", "lineage"])


@pytest.mark.parametrize("token", ["nonsens", "nonsense", "bm9uc2Vuc2U=", "RkI6bm9uc2Vuc2U=", "é"])
def test_a_token_that_was_never_given_out_is_refused(service: Service, token: str) -> None:
    headers = {"x-consistency-token": token.encode()}
    lean = service.http.post("/v1/resolve", json={"identifiers": [an_email()]}, headers=headers)
    assert (lean.status_code, lean.json()["code"]) == (400, "BAD_INPUT")
    assert "X-Consistency-Token" in lean.json()["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retried"),
    [
        (store.Unavailable("down"), 503, "UNAVAILABLE", True),
        (store.TimedOut("slow"), 504, "TIMED_OUT", True),
        (store.Conflict("busy"), 409, "CONFLICT", True),
        (store.OutcomeUnknown("cut"), 503, "OUTCOME_UNKNOWN", True),
        (Overloaded(), 429, "OVERLOADED", True),
        (store.SchemaMismatch("old"), 503, "SCHEMA_MISMATCH", False),
        (store.Refused("no"), 500, "INTERNAL", False),
        (RuntimeError("secret of ada@example.com"), 500, "INTERNAL", False),
    ],
)
def test_a_failing_database_is_told_to_clients_and_proxies(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    code: str,
    retried: bool,
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(Graph, "read", fail)
    lean = service.http.post("/v1/resolve", json={"identifiers": [an_email()]})
    full = service.post("query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { status } }", {"i": [an_email()]})
    assert lean.json()["code"] == full.json()["errors"][0]["extensions"]["code"] == code
    assert lean.status_code == status
    assert full.status_code == (status if status >= 429 else 200)
    assert full.json()["errors"][0]["extensions"]["retryable"] is retried
    assert ("retry-after" in lean.headers) is retried
    assert "ada@" not in caplog.text + lean.text + full.text


def test_the_table_knows_every_error_of_the_store() -> None:
    """One that is missing would reach clients as an unexpected error."""
    known = [e for e in vars(store).values() if isinstance(e, type) and issubclass(e, store.StoreError)]
    foreseen = {e for e in known if errors.render(e("x"))[0] is not errors.INTERNAL}
    assert set(known) - foreseen == {store.StoreError, store.Refused}


def test_a_request_that_takes_too_long_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    read = Graph.read

    def stuck(self: Graph, *args: Any, **kwargs: Any) -> Any:
        release.wait(20)
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Graph, "read", stuck)
    monkeypatch.setattr("identity_graph.api.endpoint.REQUEST_TIMEOUT", 0.1)
    answer = service.http.post("/v1/resolve", json={"identifiers": [an_email()]})
    release.set()
    assert (answer.status_code, answer.json()["code"]) == (504, "TIMED_OUT")
    assert answer.headers["retry-after"]


def test_a_write_that_others_are_in_the_way_of_ends_before_its_request(
    service: Service, driver: neo4j.Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the write that says no, long before this request would be given up, and later it can be sent again."""
    email = an_email()
    service.submit(seen(email))
    again = seen(email, an("user_id"))
    query = "mutation($o: [ObservationInput!]!) { submitLinks(input: {observations: $o}) { consistencyToken } }"
    monkeypatch.setattr("identity_graph.store.graph.WRITE_TIMEOUT", 1.0)
    with driver.session() as session, session.begin_transaction() as other:
        other.run("MATCH (p:Profile {id: $id}) SET p.held = true", id=service.profile_of(email)).consume()
        answer = service.post(query, {"o": [again]}, accept="application/graphql-response+json")
        other.rollback()
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (504, "TIMED_OUT")
    assert answer.headers["retry-after"]
    monkeypatch.undo()
    (result,) = service.submit(again)
    assert (result["__typename"], result["duplicate"]) == ("ObservationAccepted", False)


def test_a_client_that_leaves_does_not_stop_its_write(service: Service) -> None:
    email = an_email()
    query = "mutation($o: [ObservationInput!]!) { submitLinks(input: {observations: $o}) { consistencyToken } }"

    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
        request = service.http.build_request(
            "POST", "/graphql", json={"query": query, "variables": {"o": [seen(email)]}}
        )
        head = "\r\n".join(f"{name}: {value}" for name, value in request.headers.items())
        writer.write(f"POST /graphql HTTP/1.1\r\n{head}\r\n\r\n".encode() + request.read())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    asyncio.run(leave())
    wait_until(lambda: service.resolve(email)[0]["status"] == "RESOLVED")
