"""Identifiers: one normalised value in one namespace, written ``email:ada@example.com``.

An :class:`Identifier` comes only from :func:`identify`, so a value that was never normalised cannot reach the graph.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from identity_graph.domain.rules import Normaliser, Rules

#: Longest value kept, in characters. A Neo4j index entry holds about 8,000 bytes; real identifiers stay below 300.
MAX_VALUE = 512
NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
#: After a phone number's first digit only digits and separators follow; a letter or one of these starts an extension.
_EXTENSION = re.compile(r"\d.*[^\W\d_]|\d.*[#＃~～,;]")


class InvalidIdentifier(ValueError):
    """The value cannot be an identifier of its namespace. ``field`` is ``namespace`` or ``value``."""

    def __init__(self, message: str, field: str = "value", *, unknown_namespace: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.unknown_namespace = unknown_namespace


@dataclass(frozen=True, slots=True)
class Identifier:
    """One normalised identifier; ``raw`` is the value as it was submitted and takes no part in equality."""

    namespace: str
    value: str
    raw: str
    key: str
    blocked: bool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identifier) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def split_key(key: str) -> tuple[str, str]:
    """``email:ada@example.com`` → ``("email", "ada@example.com")``; a namespace never holds a colon."""
    namespace, _, value = key.partition(":")
    return namespace, value


def identify(namespace: str, raw: str, rules: Rules) -> Identifier:
    """The identifier for a raw value, cleaned and normalised as its namespace's rule says.

    A junk value is an identifier too, ``blocked``, so that it can be shown and never conducts.
    Raises :class:`InvalidIdentifier` with a sentence that names what was expected.
    """
    if not NAMESPACE.fullmatch(namespace):
        raise InvalidIdentifier(
            "a namespace starts with a letter and has at most 64 letters, digits, '_', '.' or '-'",
            "namespace",
        )
    if not rules.knows(namespace):
        raise InvalidIdentifier(
            f"the rules are strict and do not name the namespace {namespace}",
            "namespace",
            unknown_namespace=True,
        )
    rule, text = rules.rule(namespace), _tidy(raw)
    if rule.cleans and not rules.is_blocked(namespace, text):
        text = _tidy(rule.cleaned(text))
    if rules.is_blocked(namespace, text):
        value = unicodedata.normalize("NFC", text.casefold())
        _check_length(value)
        return Identifier(namespace, value, raw, f"{namespace}:{value}", True)
    normalise = _NORMALISERS[rule.normaliser]
    value = normalise(text, rules.default_region)
    _check_length(value)
    if rule.cleans and normalise(_tidy(rule.cleaned(value)), rules.default_region) != value:
        # Whoever sends what was shown must find it.
        raise InvalidIdentifier(f"the rules of {namespace} clean this value to one that they clean to yet another")
    blocked = value != text and rules.is_blocked(namespace, value)
    return Identifier(namespace, value, raw, f"{namespace}:{value}", blocked)


def _tidy(raw: str) -> str:
    """A value in one Unicode form and without blanks around it."""
    _check_length(raw)
    if _CONTROL.search(raw):
        raise InvalidIdentifier("a value must not hold control characters or lone surrogates")
    text = unicodedata.normalize("NFC", raw).strip()
    if not text:
        raise InvalidIdentifier("a value must not be empty")
    return text


def _check_length(value: str) -> None:
    if len(value) > MAX_VALUE:
        raise InvalidIdentifier(f"a value has at most {MAX_VALUE} characters, this one has {len(value)}")


@lru_cache(maxsize=65_536)
def _email(text: str, _region: str | None) -> str:
    try:
        checked = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as e:
        raise InvalidIdentifier(f"expected an e-mail address such as name@example.com: {_sentence(e)}") from None
    return f"{_lower(checked.local_part)}@{(checked.ascii_domain or checked.domain).lower()}"


def _sentence(error: Exception) -> str:
    """The validator's own reason without the parts that quote the address."""
    return re.sub(r"['\"].*['\"]", "…", str(error)).rstrip(".")


@lru_cache(maxsize=65_536)
def _phone(text: str, region: str | None) -> str:
    """E.164 where the country is known; else the bare digits, which only ever equal the same digits.

    An extension is kept, `+31201234567;ext=12`: behind one number of a firm sit many people.
    """
    digits = phonenumbers.normalize_digits_only(text)
    bare = f"+{digits}" if "+" in text or "＋" in text else digits
    for written in (text, bare):
        found = _international(written, region)
        if found:
            return found
        if _EXTENSION.search(text) or not 5 <= len(digits) <= 17:
            raise InvalidIdentifier("expected a phone number such as +31 6 1234 5678, with its country code")
    return bare


def _international(text: str, region: str | None) -> str | None:
    """E.164, or None where the country or area is unknown, the length is wrong, or the result reads as another number.

    The last happens to what is no number, such as 0000001, where a part of it looks like a prefix to be dropped.
    """
    try:
        number = phonenumbers.parse(text, region)
        if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
            return None
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if number.extension:
            written = f"{written};ext={number.extension}"
        return written if phonenumbers.parse(written) == number else None
    except phonenumbers.NumberParseException:
        return None


def _lower(text: str, _region: str | None = None) -> str:
    # NFC again: a capital with an accent may be two characters where its small letter is one.
    return unicodedata.normalize("NFC", text.lower())


def _text(text: str, _region: str | None) -> str:
    return text


_NORMALISERS: dict[Normaliser, Callable[[str, str | None], str]] = {
    Normaliser.EMAIL: _email,
    Normaliser.PHONE: _phone,
    Normaliser.LOWER: _lower,
    Normaliser.TEXT: _text,
}
