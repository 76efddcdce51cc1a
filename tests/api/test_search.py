"""Profiles by what somebody types, masked for those who may not see whose they are."""

from typing import Any
from uuid import uuid4

import pytest

from .live import Cypher, Locked, Service, an, seen

SEARCH = """query($text: String!, $first: Int = 20) { searchProfiles(text: $text, first: $first) {
    profile { id } name email identifier { namespace value } } }"""


@pytest.fixture(scope="module")
def ada(service: Service, cypher: Cypher) -> dict[str, Any]:
    """A person with a name that nobody else has."""
    last = f"L{uuid4().hex}"
    email, user = f"ada.{last}@example.org".lower(), f"u{uuid4().hex}"
    service.submit(
        seen(an("email", email), an("user_id", user), traits={"first_name": "Zoë", "last_name": last, "email": email}),
        seen(an("cookie_id"), traits={"first_name": "Zoë", "last_name": "Other"}),
    )
    cypher("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    return {"id": service.profile_of(an("user_id", user)), "last": last, "email": email, "user": user}


def search(service: Service, text: str, **more: Any) -> list[dict[str, Any]]:
    body = service.post(SEARCH, {"text": text, **more}).json()
    assert "errors" not in body, body
    return body["data"]["searchProfiles"]


def test_a_person_is_found_by_name_address_and_id(service: Service, ada: dict[str, Any]) -> None:
    by_name = {
        "profile": {"id": ada["id"]},
        "name": f"Zoë {ada['last']}",
        "email": ada["email"],
        "identifier": None,
    }
    for text in (ada["last"], ada["last"][:12], f"zoe {ada['last'].upper()}", f"{ada['last']}, ZOË"):
        assert search(service, text) == [by_name]
    for text, namespace, value in (
        (ada["email"], "email", ada["email"]),
        (ada["email"][:20].upper(), "email", ada["email"]),
        (ada["user"], "user_id", ada["user"]),
        (f"user_id:{ada['user'][:20]}", "user_id", ada["user"]),
    ):
        (hit,) = search(service, text)
        assert (hit["profile"]["id"], hit["identifier"]) == (ada["id"], {"namespace": namespace, "value": value})
    assert search(service, f"{ada['last']} nobody") == []
    assert len(search(service, "zoë", first=1)) == 1


@pytest.mark.parametrize(
    "text",
    ["*", "?", "a* OR *:*", '"', "trait:first_name:zoë", "zoë~0", "zoë^9", "(((", "\\", "[a TO z]", "\x00", "/.*/"],
)
def test_nothing_typed_is_more_than_words(service: Service, ada: dict[str, Any], text: str) -> None:
    search(service, text)


def test_what_cannot_be_searched_is_a_sentence(service: Service) -> None:
    for given, sentence in (
        ({"text": " "}, "text must have 1 to 200 characters"),
        ({"text": "x" * 201}, "text must have 1 to 200 characters"),
        ({"text": "x", "first": 101}, "first must lie between 1 and 100"),
    ):
        (error,) = service.post(SEARCH, given).json()["errors"]
        assert (error["extensions"]["code"], error["message"]) == ("BAD_INPUT", sentence)


def test_values_are_masked_without_the_scope_pii(locked: Locked, ada: dict[str, Any]) -> None:
    def found(scope: str, text: str) -> Any:
        answer = locked.service.post(SEARCH.replace("profile { id } ", ""), {"text": text}, **locked.headers(scope))
        return answer.json()

    masked = {"name": "Z*** L***", "email": "a***@e***.org", "identifier": None}
    assert found("read", ada["last"])["data"]["searchProfiles"] == [masked]
    assert found("read", ada["user"])["data"]["searchProfiles"][0]["identifier"] == {
        "namespace": "user_id",
        "value": "u***",
    }
    assert found("admin", ada["last"])["data"]["searchProfiles"][0]["email"] == ada["email"]
    for scope in ("pii", "write"):
        assert found(scope, ada["last"])["errors"][0]["extensions"]["code"] == "FORBIDDEN"
