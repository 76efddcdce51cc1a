"""An observation: who anchors it, which pairs it links, and what a refusal says."""

import pytest

from identity_graph.domain.evidence import LinkKind, Observation, Refusal, RefusalCode, link_id, observation
from identity_graph.domain.identifiers import identify
from identity_graph.domain.rules import Rules

RULES = Rules()


def observe(*keys: str, record_id: str | None = None) -> Observation:
    named = [identify(*key.split(":", 1), RULES) for key in keys]
    return observation("o1", "crm", 5, named, "digest", RULES, record_id)


def test_every_pair_is_linked_once_with_its_ends_in_order() -> None:
    said = observe("phone:+31612345678", "user_id:ada", "email:Ada@example.com", "email:ada@example.com")
    assert [(a, b) for a, b, _ in said.pairs] == [
        ("email:ada@example.com", "user_id:ada"),
        ("phone:+31612345678", "user_id:ada"),
        ("email:ada@example.com", "phone:+31612345678"),
    ]
    assert [id for _, _, id in said.pairs] == [link_id(a, b, LinkKind.OBSERVED, "crm") for a, b, _ in said.pairs]


@pytest.mark.parametrize(
    ("keys", "record_id", "anchor", "record"),
    [
        (["cookie_id:c1", "email:ada@example.com"], None, "email:ada@example.com", "crm#email:ada@example.com"),
        (["user_id:null", "cookie_id:c1"], None, "cookie_id:c1", "crm#cookie_id:c1"),
        (["user_id:ada"], "17", "record:crm/17", "crm/17"),
        (["user_id:null"], "0", "record:crm/0", "crm/0"),
        (["user_id:null", "email:noreply@shop.example"], None, None, None),
    ],
)
def test_the_record_is_anchored_by_its_own_identifier_else_by_the_strongest_that_is_no_junk(
    keys: list[str], record_id: str | None, anchor: str | None, record: str | None
) -> None:
    said = observe(*keys, record_id=record_id)
    assert (said.anchor.key if said.anchor else None, said.record_key) == (anchor, record)
    assert observe(*reversed(keys), record_id=record_id) == said


def test_a_link_is_named_by_ends_kind_and_source() -> None:
    ids = {
        link_id(*said)
        for said in [
            ("a:1", "b:2", "OBSERVED", "crm"),
            ("a:1", "b:2", "OBSERVED", "web"),
            ("a:1", "b:2", "MATCHED", "crm"),
            ("a:1", "b:3", "OBSERVED", "crm"),
            ("a:1b", ":2", "OBSERVED", "crm"),
        ]
    }
    assert len(ids) == 5
    assert {len(id) for id in ids} == {20}


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (
            Refusal(RefusalCode.UNIQUE_NAMESPACE, ("user_id:ada", "user_id:bob")),
            "user_id:ada and user_id:bob would share a profile, and user_id is unique.",
        ),
        (
            Refusal(RefusalCode.NAMESPACE_LIMIT, ("email", "email:a@b.com", "email:c@d.com")),
            "The profile would hold more values of email than the rules allow.",
        ),
        (
            Refusal(RefusalCode.CANNOT_LINK, ("user_id:ada", "user_id:bob")),
            "user_id:ada and user_id:bob were said never to be the same person.",
        ),
        (Refusal(RefusalCode.SIZE_CAP), "The profile would hold more identifiers than the size cap allows."),
        (
            Refusal(RefusalCode.SHARED_IDENTIFIER, ("device_id:till",)),
            "device_id:till is used by too many people to say who this is.",
        ),
        (Refusal(RefusalCode.BLOCKED_VALUE, ("crm_id:null",)), "crm_id:null is a junk value and identifies nobody."),
    ],
)
def test_a_refusal_is_a_sentence(refusal: Refusal, says: str) -> None:
    assert refusal.message == says
