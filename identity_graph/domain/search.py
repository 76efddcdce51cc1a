"""What somebody types to find a person, as queries that mean only what they should; and personal values, masked."""

import re
import unicodedata
from collections.abc import Iterable

from identity_graph.domain.identifiers import NAMESPACE, InvalidIdentifier, identify
from identity_graph.domain.rules import Normaliser, Rules

#: Longest text, and the most words of it that count.
MAX_TEXT, MAX_WORDS = 200, 8
#: Shortest beginning of an identifier, in characters; a shorter one is everybody's.
MIN_PREFIX = 3

_WORD = re.compile(r"[^\W_]+")


def words_query(text: str) -> str | None:
    """A Lucene query for all words of a text, each also as the beginning of a word; None where there is no word.

    Only letters and digits are left of what was typed, in small letters, so nothing in it can be an operator, a
    wildcard or a field. Words are matched as typed, by the index's own folding, and without accents as beginnings.
    """
    words = _WORD.findall(unicodedata.normalize("NFC", text).casefold())[:MAX_WORDS]
    return " ".join(f"+({word} {plain}*)" if (plain := _plain(word)) else f"+{word}" for word in words) or None


def _plain(word: str) -> str:
    found = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return found if len(found) > 1 and _WORD.fullmatch(found) else ""


def key_prefixes(text: str, rules: Rules) -> list[str]:
    """How the keys of the identifiers that a text may stand for begin: in each namespace that the rules know.

    A text such as ``badge:17`` also stands for itself, in any namespace.
    """
    text = text.strip()
    if len(text) < MIN_PREFIX:
        return []
    found: dict[str, None] = {}
    for namespace, rule in rules.namespaces.items():
        small, start = rule.normaliser in (Normaliser.EMAIL, Normaliser.LOWER), rule.cleaned(text)
        found[f"{namespace}:{start.casefold() if small else start}"] = None
        try:
            identifier = identify(namespace, text, rules)
        except InvalidIdentifier:
            continue
        if not identifier.blocked and len(identifier.value) >= MIN_PREFIX:
            found[identifier.key] = None
    namespace, colon, value = text.partition(":")
    if colon and value and NAMESPACE.fullmatch(namespace):
        found[text] = None
    return list(found)


def masked(value: str) -> str:
    """A personal value, of which only the beginnings are left: ``a***@e***.org``, ``A*** L***``, ``+***``."""
    return " ".join(_masked_word(word) for word in value.split())


def _masked_word(word: str) -> str:
    local, _, domain = word.rpartition("@")
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}***@{name[:1]}***.{top}" if local and dot else f"{word[:1]}***"


def full_name(parts: Iterable[object], whole: object) -> str | None:
    """A name out of its parts, else the whole one as it was given."""
    named = " ".join(part for part in parts if isinstance(part, str))
    return named or (whole if isinstance(whole, str) else None)
