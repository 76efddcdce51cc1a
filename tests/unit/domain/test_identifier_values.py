"""Raw values and what becomes of them, a row each: what is one key, what is junk, what is refused and why."""

from typing import Any

import pytest

from identity_graph.domain.cleaning import Step
from identity_graph.domain.evidence import observation
from identity_graph.domain.identifiers import InvalidIdentifier, identify
from identity_graph.domain.rules import Blocked, NamespaceClass, NamespaceRule, Normaliser, Rules

RULES = Rules()
DUTCH = Rules(default_region="NL")


@pytest.mark.parametrize(
    ("namespace", "raw", "value"),
    [
        ("email", " Ada.Lovelace+news@Example.COM ", "ada.lovelace+news@example.com"),
        ("email", "ada@MÜNCHEN.de", "ada@xn--mnchen-3ya.de"),
        ("email", "ada@xn--mnchen-3ya.de", "ada@xn--mnchen-3ya.de"),
        ("email", "ada@straße.de", "ada@xn--strae-oqa.de"),
        ("email", "用户@例子.广告", "用户@xn--fsqu00a.xn--4rr70v"),
        ("email", "ZOE\u0308@example.com", "zoë@example.com"),
        ("email", "H\u0331@example.com", "ẖ@example.com"),
        ("phone", "+31 (0)6 1234-5678", "+31612345678"),
        ("phone", "＋３１ ６ １２３４ ５６７８", "+31612345678"),
        ("phone", "0612345678", "0612345678"),
        ("phone", "(020) 123 45 67", "0201234567"),
        ("phone", "٠٦١٢٣٤٥٦٧٨", "0612345678"),
        ("phone", "tel: 06-12345678", "0612345678"),
        ("phone", "+999 1234 5678", "+99912345678"),
        ("phone", "+31 20 123 4567 ext. 12", "+31201234567;ext=12"),
        ("idfa", "AEBE52E7-03EE-455A-B3C4-E57283966239", "aebe52e7-03ee-455a-b3c4-e57283966239"),
        ("user_id", " Ada ", "Ada"),
        ("user_id", "e\u0301", "é"),
        ("user_id", "STRASSE", "STRASSE"),
        ("crm_id", "00123", "00123"),
        ("cookie_id", "a:b:c", "a:b:c"),
    ],
)
def test_value(namespace: str, raw: str, value: str) -> None:
    identifier = identify(namespace, raw, RULES)
    assert (identifier.value, identifier.key, identifier.raw) == (value, f"{namespace}:{value}", raw)
    assert not identifier.blocked


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("06 12345678", "+31612345678"),
        ("0031612345678", "+31612345678"),
        ("+44 20 7946 0018", "+442079460018"),
        ("06:12345678", "+31612345678"),
        ("0000001", "0000001"),
    ],
)
def test_a_default_region_completes_a_phone_number(raw: str, value: str) -> None:
    assert identify("phone", raw, DUTCH).value == value


def cleaning(**rule: Any) -> Rules:
    return Rules(namespaces={"card": NamespaceRule(**rule)})


@pytest.mark.parametrize(
    ("rule", "raw", "value"),
    [
        ({"clean": (Step.TRIM, Step.UPPER)}, " ab   12 ", "AB 12"),
        ({"clean": (Step.POSTCODE,)}, "ab-12 cd", "AB12CD"),
        ({"clean": (Step.LOWER,), "patterns": (("nl-0*([1-9][0-9]{0,8})", r"\1"),)}, "NL-0042", "42"),
        ({"values": {"a": "b"}}, "A", "b"),
        ({"clean": (Step.UPPER,), "normaliser": Normaliser.LOWER}, "Ab", "ab"),
        ({"patterns": (("mailto:(.*)", r"\1"),), "normaliser": Normaliser.EMAIL}, "mailto:A@X.org", "a@x.org"),
    ],
)
def test_a_namespace_cleans_before_it_normalises(rule: dict[str, Any], raw: str, value: str) -> None:
    rules = cleaning(**rule)
    assert identify("card", raw, rules).value == identify("card", value, rules).value == value


def test_junk_is_junk_before_and_after_cleaning() -> None:
    rules = cleaning(patterns=(("x?(null|walk-in)", r"\1 y"), ("n-(.*)", r"\1")), values={"walk-in y": "anonymous"})
    found = [identify("card", raw, rules) for raw in ("null", "n-NULL", "walk-in")]
    assert [(one.value, one.blocked) for one in found] == [("null", True), ("null", True), ("anonymous", True)]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"values": {"a": "b", "b": "c"}}, "one that they clean to yet another"),
        ({"values": {"a": " "}}, "must not be empty"),
        ({"values": {"a": "b\n"}}, "control characters"),
        ({"values": {"a": "b" * 600}}, "at most 512 characters"),
        ({"patterns": (("a", "no address"),), "normaliser": Normaliser.EMAIL}, "an e-mail address"),
    ],
)
def test_what_cleaning_makes_must_be_a_value_that_stays(rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidIdentifier, match=sentence):
        identify("card", "a", cleaning(**rule))


def test_a_number_without_its_area_is_not_taken_for_an_international_one() -> None:
    assert identify("phone", "555-1234", Rules(default_region="US")).value == "5551234"


@pytest.mark.parametrize(
    ("namespace", "one", "other"),
    [
        ("user_id", "Ada", "ada"),
        ("email", "ss@example.com", "ß@example.com"),
        ("email", "ada@strasse.de", "ada@straße.de"),
        ("phone", "+31 20 123 4567", "+31 20 123 4567 ext 12"),
        ("phone", "0612345678", "612345678"),
        ("crm_id", "123", "0123"),
        ("user_id", "①", "1"),
        ("user_id", "ﬁ", "fi"),
        ("idfa", "ı1", "I1"),
    ],
)
def test_different_people_keep_different_keys(namespace: str, one: str, other: str) -> None:
    assert identify(namespace, one, RULES) != identify(namespace, other, RULES)


def test_equality_is_of_keys() -> None:
    one, other = identify("email", "ADA@example.com", RULES), identify("email", "ada@example.com", RULES)
    assert one == other
    assert one.raw != other.raw
    assert len({one, other, identify("social_id", "ada@example.com", RULES)}) == 2


# --- Junk

JUNK = {
    "nothing, as exports and trackers write it": "null NULL none None nil undefined NaN n/a N/A na \\N - -- (null) "
    "<null> not_set not_authenticated anonymous Anonymous guest unknown test true false".split(),
    "nothing, in several words": ["[object Object]", "Not Set", "not available", "(not set)", "no email"],
    "quoted by an export": ["'null'", '"undefined"', '"None"'],
    "the name of the field": "id user_id userid distinct_id anonymous_id device_id email phone".split(),
    "zeros and dashes": ["0", "-1", "000", "00000000-0000-0000-0000-000000000000", "0000-0000", "{00000000-0000}"],
    "punctuation": [".", "???", "***", "_._".replace("_", "-"), "…", "\u200b"],
}


@pytest.mark.parametrize("namespace", ["user_id", "crm_id", "email", "phone", "device_id", "cookie_id", "whatever"])
@pytest.mark.parametrize("family", JUNK)
def test_junk_is_blocked_in_every_namespace(namespace: str, family: str) -> None:
    assert [raw for raw in JUNK[family] if not identify(namespace, raw, RULES).blocked] == []


@pytest.mark.parametrize(
    ("namespace", "raws"),
    [
        ("email", "noreply@shop.example NO-REPLY@shop.example postmaster@a.example root@localhost.example".split()),
        ("email", ["nobody@example.com", "admin@a.example", "mailer-daemon@a.example", "donotreply@a.example"]),
        ("phone", ["0000000000", "1111111", "+31 666666666", "+1 999-999-9999", "00 31 222222222"]),
        ("idfa", ["00000000-0000-0000-0000-000000000000"]),
    ],
)
def test_junk_of_its_own_kind_is_blocked(namespace: str, raws: list[str]) -> None:
    assert [raw for raw in raws if not identify(namespace, raw, RULES).blocked] == []


@pytest.mark.parametrize(
    ("namespace", "raw"),
    [
        ("user_id", "10"),
        ("user_id", "nullable"),
        ("user_id", "guest-17"),
        ("user_id", "中文"),
        ("user_id", "1111111111"),
        ("user_id", "noreply@shop.example"),
        ("email", "null@example.com"),
        ("email", "ada.noreply@example.com"),
        ("phone", "+31 6 1234 5678"),
        ("phone", "+31 20 200 0000"),
        ("device_id", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_only_looks_like_junk_is_not_blocked(namespace: str, raw: str) -> None:
    assert not identify(namespace, raw, RULES).blocked


def test_spellings_of_junk_have_one_key_and_keep_their_raw_value() -> None:
    found = [identify("crm_id", raw, RULES) for raw in ("NULL", "Null ", "null")]
    assert {identifier.key for identifier in found} == {"crm_id:null"}
    assert [identifier.raw for identifier in found] == ["NULL", "Null ", "null"]


def test_own_junk_is_matched_without_letter_case_and_on_the_whole_value() -> None:
    blocked = Blocked(frozenset({"walk-in"}), (r"TEST-\d{1,9}",), (r"\+31201234567",), frozenset({"info"}))
    rules = Rules(blocked=blocked)
    junk = ["crm_id:Walk-In", "crm_id:Test-42", "phone:+31 20 1234567", "email:Info@shop.example"]
    fine = ["crm_id:test-", "crm_id:a-test-42", "crm_id:null", "phone:+31 20 1234568", "crm_id:info"]
    assert [text for text in junk if not blocked_by(text, rules)] == []
    assert [text for text in fine if blocked_by(text, rules)] == []


def test_own_patterns_do_not_get_into_each_other() -> None:
    """Flags, groups and alternatives of one pattern end with it."""
    patterns = ("a1|b2", "(?i)c3", "(?x)d 4  # four", r"(e)\1", r"(f)\1", "g.", "(?s:h.)")
    rules = Rules(blocked=Blocked(frozenset(), patterns, (), frozenset()))
    junk = ["x:a1", "x:B2", "x:C3", "x:d4", "x:ee", "x:FF", "x:g7", "x:hh"]
    fine = ["x:a", "x:a1b2", "x:ef", "x:a1c3", "x:d 4", "x:ff1", "x:g78"]
    assert [text for text in junk if not blocked_by(text, rules)] == []
    assert [text for text in fine if blocked_by(text, rules)] == []


def blocked_by(text: str, rules: Rules) -> bool:
    namespace, _, raw = text.partition(":")
    return identify(namespace, raw, rules).blocked


def test_a_record_is_never_junk() -> None:
    """Its key names a row; a pattern meant for values would cut every row of a source loose."""
    rules = Rules(blocked=Blocked(patterns=(r"test.*",)))
    (own,) = observation("o1", "test", 0, [], "", rules, record_id="0").identifiers
    assert own.key == "record:test/0"
    assert not rules.is_blocked_key(own.key)


# --- What cannot be an identifier


@pytest.mark.parametrize(
    ("namespace", "raw", "says"),
    [
        ("email", "ada", "expected an e-mail address such as"),
        ("email", "ada@@example.com", "expected an e-mail address such as"),
        ("email", "Ada <ada@example.com>", "expected an e-mail address such as"),
        ("email", "ada lovelace@example.com", "expected an e-mail address such as"),
        ("email", "ada@exa mple.com", "expected an e-mail address such as"),
        ("phone", "call me", "expected a phone number such as"),
        ("phone", "12-34", "expected a phone number such as"),
        ("phone", "123456789012345678", "expected a phone number such as"),
        ("phone", "0612345678 x 12", "expected a phone number such as"),
        ("user_id", "", "must not be empty"),
        ("user_id", " \u00a0\u3000", "must not be empty"),
        ("user_id", "a\x00b", "control characters"),
        ("user_id", "a\nb", "control characters"),
        ("user_id", "a\x85b", "control characters"),
        ("user_id", "a\ud800b", "lone surrogates"),
        ("user_id", "x" * 513, "at most 512 characters, this one has 513"),
        ("idfa", "İ" * 512, "at most 512 characters, this one has 1024"),
    ],
)
def test_a_bad_value_is_refused_with_what_was_expected_and_without_the_value(
    namespace: str, raw: str, says: str
) -> None:
    with pytest.raises(InvalidIdentifier, match=says) as caught:
        identify(namespace, raw, RULES)
    assert caught.value.field == "value"
    assert len(raw.strip()) < 3 or raw not in str(caught.value)


@pytest.mark.parametrize("namespace", ["", "1st", "a b", "a:b", "é", "a" * 65, "e\u0301", "a\n"])
def test_a_bad_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidIdentifier, match="starts with a letter") as caught:
        identify(namespace, "x1", RULES)
    assert (caught.value.field, caught.value.unknown_namespace) == ("namespace", False)


def test_only_strict_rules_refuse_a_namespace_that_they_do_not_name() -> None:
    assert identify("shoe_size", "42", RULES).key == "shoe_size:42"
    with pytest.raises(InvalidIdentifier, match="strict") as caught:
        identify("shoe_size", "42", Rules(strict=True))
    assert caught.value.unknown_namespace


def test_devices_are_told_by_class() -> None:
    kinds = {cls: NamespaceRule(cls=cls).is_device for cls in NamespaceClass}
    assert {cls for cls, device in kinds.items() if device} == {NamespaceClass.DEVICE, NamespaceClass.COOKIE}
