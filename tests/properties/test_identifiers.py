"""Laws of identifiers: one value, however it is written, has one key."""

import unicodedata

import phonenumbers
from hypothesis import assume, example, given
from hypothesis import strategies as st

from identity_graph.domain.identifiers import Identifier, InvalidIdentifier, identify, split_key
from identity_graph.domain.rules import NamespaceRule, Normaliser, Rules

REGIONS = st.sampled_from([None, "NL", "US", "DE", "AR", "BR", "IT", "MX", "HU", "BY"])
ACCENTS = "HJTWY\u0331\u030c\u0308\u030aßẞΐΣİﬀŉ"
TEXT = st.text(st.sampled_from(ACCENTS) | st.characters(codec="utf-8"), min_size=1, max_size=20) | st.text()
EMAIL = st.builds(
    "{}@{}.{}".format,
    st.text(st.sampled_from("aZ0.+_-" + ACCENTS), min_size=1, max_size=8),
    st.text(st.sampled_from("aZ0-éßΣя中"), min_size=1, max_size=8),
    st.sampled_from(["com", "NL", "рф", "xn--p1ai", "test"]),
)
PHONE = st.text(st.sampled_from("0123456789+-().,/#x:;= ٠٦０＋é"), min_size=3, max_size=24) | st.builds(
    "{}{}".format,
    st.sampled_from(["+", "00", "0", "", "tel. ", "(+"]),
    st.integers(10_000, 10**15).map(str),
)
VALUE = {Normaliser.EMAIL: EMAIL, Normaliser.PHONE: PHONE, Normaliser.LOWER: TEXT, Normaliser.TEXT: TEXT}


@st.composite
def submitted(draw: st.DrawFn) -> tuple[str, str, Rules]:
    """A namespace, a raw value that suits its normaliser more or less, and rules."""
    rules = Rules(default_region=draw(REGIONS), namespaces={**Rules().namespaces, "low": LOW, "plain": PLAIN})
    namespace = draw(st.sampled_from(["email", "phone", "low", "plain"]))
    value = draw(VALUE[rules.rule(namespace).normaliser] | TEXT)
    return namespace, value, rules


NOTATIONS = [
    phonenumbers.PhoneNumberFormat.NATIONAL,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.RFC3966,
]
LOW, PLAIN = NamespaceRule(normaliser=Normaliser.LOWER), NamespaceRule()


def identified(namespace: str, value: str, rules: Rules) -> Identifier:
    try:
        return identify(namespace, value, rules)
    except InvalidIdentifier:
        assume(False)
        raise


@given(submitted())
@example(("low", "H\u0331", Rules(namespaces={"low": LOW})))
@example(("phone", "12345 x 6789", Rules(default_region="US")))
@example(("phone", "+999 1234 5678", Rules(default_region="DE")))
@example(("phone", "06:12345678", Rules(default_region="NL")))
@example(("phone", "0000001", Rules(default_region="NL")))
@example(("plain", "ŉ" * 512, Rules(namespaces={"plain": PLAIN})))
def test_normalising_twice_is_normalising_once(given_: tuple[str, str, Rules]) -> None:
    namespace, raw, rules = given_
    once = identified(namespace, raw, rules)
    twice = identify(namespace, once.value, rules)
    assert (twice.key, twice.blocked) == (once.key, once.blocked)


@given(submitted())
def test_a_value_is_unicode_in_its_composed_form_without_blanks_around_it(given_: tuple[str, str, Rules]) -> None:
    namespace, raw, rules = given_
    value = identified(namespace, raw, rules).value
    assert unicodedata.is_normalized("NFC", value)
    assert value == value.strip() != ""
    assert 0 < len(value) <= 512


@given(submitted())
def test_how_a_value_was_composed_or_padded_makes_no_difference(given_: tuple[str, str, Rules]) -> None:
    namespace, raw, rules = given_
    expected = identified(namespace, unicodedata.normalize("NFC", raw), rules)
    assert identified(namespace, f"\u00a0 {unicodedata.normalize('NFD', raw)} ", rules) == expected


@given(submitted())
def test_the_key_alone_says_whether_a_value_is_junk(given_: tuple[str, str, Rules]) -> None:
    """The partition sees keys, not the values as they were submitted."""
    namespace, raw, rules = given_
    identifier = identified(namespace, raw, rules)
    assert rules.is_blocked_key(identifier.key) == identifier.blocked
    assert split_key(identifier.key) == (namespace, identifier.value)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from(NOTATIONS))
def test_a_real_phone_number_has_one_key_in_every_notation(region: str, notation: int) -> None:
    number = phonenumbers.example_number(region)
    assume(number is not None)
    rules = Rules(default_region=region)
    keys = {
        identify("phone", phonenumbers.format_number(number, written), rules).key
        for written in (notation, phonenumbers.PhoneNumberFormat.E164)
    }
    assert len(keys) == 1


@given(st.text(st.characters(), min_size=1, max_size=30), st.text(max_size=70))
def test_any_text_is_an_identifier_or_a_sentence(value: str, namespace: str) -> None:
    for name in (namespace, "email", "phone", "cookie_id"):
        try:
            found = identify(name, value, Rules())
        except InvalidIdentifier as e:
            found = e
        if isinstance(found, Identifier):
            assert found.raw == value
        else:
            assert found.field in ("namespace", "value")
            assert len(str(found)) > 20
