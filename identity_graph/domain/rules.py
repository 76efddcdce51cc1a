"""The rules: what a namespace is, which values are junk, and who gives way when evidence conflicts.

A :class:`Rules` value is complete and immutable; two equal values have the same ``version``.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, cast

from identity_graph.domain.cleaning import Step, clean
from identity_graph.domain.events import Declared, What


class NamespaceClass(StrEnum):
    """What kind of thing the identifiers of a namespace point at."""

    CROSS_DEVICE = "CROSS_DEVICE"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    DEVICE = "DEVICE"
    COOKIE = "COOKIE"
    RECORD = "RECORD"


class Policy(StrEnum):
    """Which observed link comes first when two cannot both hold."""

    LATEST_OWNER = "latest_owner"
    FIRST_OWNER = "first_owner"


class Normaliser(StrEnum):
    """How a raw value becomes the value that is compared."""

    EMAIL = "email"
    PHONE = "phone"
    LOWER = "lower"
    TEXT = "text"


class Survivorship(StrEnum):
    """Which of several values of a trait the golden record shows."""

    NEWEST = "newest"
    OLDEST = "oldest"
    MOST_FREQUENT = "most_frequent"
    SOURCE_PRIORITY = "source_priority"
    LONGEST = "longest"
    MAX = "max"
    MIN = "min"
    UNION = "union"
    ANY_TRUE = "any_true"
    ALL_TRUE = "all_true"


RECORD_NAMESPACE = "record"
#: With the name of a source: all records of it. No namespace has such a name.
RECORDS_OF = f"{RECORD_NAMESPACE}:"


@dataclass(frozen=True, slots=True)
class NamespaceRule:
    """The rule of one namespace.

    ``limit`` is the most values of it that one profile may hold (``None``: no limit; a unique namespace has 1).
    ``priority`` ranks namespaces, 1 is the strongest. ``fan_out`` is the most partners of any one unique
    namespace an identifier may be seen with before it counts as shared and stops conducting (``None``: never;
    0: it joins nobody who is known by such a namespace).
    Before the normaliser, raw values are cleaned by the steps of ``clean``, rewritten by the first of ``patterns`` that
    matches the whole, and replaced by what ``values`` has for them, by what they are without case.
    """

    cls: NamespaceClass = NamespaceClass.CROSS_DEVICE
    unique: bool = False
    limit: int | None = None
    priority: int = 10
    normaliser: Normaliser = Normaliser.TEXT
    fan_out: int | None = 5
    clean: tuple[Step, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def cleans(self) -> bool:
        return bool(self.clean or self.patterns or self.values)

    def cleaned(self, text: str) -> str:
        """A raw value as the normaliser gets it."""
        return clean(text, self.clean, self.patterns, self.values, None, None) if self.cleans else text

    @property
    def most(self) -> int | None:
        """The most values of this namespace in one profile, or None."""
        return 1 if self.unique else self.limit

    @property
    def is_device(self) -> bool:
        return self.cls in (NamespaceClass.DEVICE, NamespaceClass.COOKIE)


@dataclass(frozen=True, slots=True)
class TraitRule:
    """The rule of one trait: each criterion decides between what those before it left; the newest decides last.

    ``sources`` are those of ``source_priority``, the most trusted first; all others come after them. Before that,
    values are cleaned by the steps of ``clean``; ``patterns`` rewrite those that they match as a whole; ``values`` has
    what replaces some, by what they are without case; ``unit`` is that of numbers which are sent with a unit.
    """

    survivorship: tuple[Survivorship, ...] = ()
    sources: tuple[str, ...] = ()
    clean: tuple[Step, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    unit: str | None = None

    def cleaned(self, value: Any, region: str | None) -> Any:
        """A raw value as it is compared; ``region`` is the country of phone numbers without a country code."""
        if not (self.clean or self.patterns or self.values or self.unit):
            return value
        return clean(value, self.clean, self.patterns, self.values, self.unit, region)


def cleaned(
    traits: Mapping[str, Any], rules: Mapping[str, TraitRule], region: str | None, above: str = ""
) -> Mapping[str, Any]:
    """Traits as they are compared, each by its rule, or those ``above`` which a path with a dot at its end leads to.

    The rule of ``address.country`` is for a trait of that name, and for ``country`` within an object ``address``.
    """
    if not rules:
        return traits
    found: dict[str, Any] = {}
    for name, raw in traits.items():
        path = above + name
        if isinstance(raw, dict) and any(other.startswith(f"{path}.") for other in rules):
            found[name] = cleaned(cast("Mapping[str, Any]", raw), rules, region, f"{path}.")
        else:
            found[name] = rules[path].cleaned(raw, region) if path in rules else raw
    return found


def _known() -> dict[str, NamespaceRule]:
    cls, normaliser = NamespaceClass, Normaliser
    return {
        "user_id": NamespaceRule(unique=True, priority=1, fan_out=None),
        "crm_id": NamespaceRule(unique=True, priority=2, fan_out=None),
        "loyalty_id": NamespaceRule(priority=3),
        "email": NamespaceRule(cls.EMAIL, priority=4, normaliser=normaliser.EMAIL),
        "phone": NamespaceRule(cls.PHONE, priority=5, normaliser=normaliser.PHONE),
        "social_id": NamespaceRule(priority=6),
        "device_id": NamespaceRule(cls.DEVICE, priority=7),
        "idfa": NamespaceRule(cls.DEVICE, priority=7, normaliser=normaliser.LOWER),
        "gaid": NamespaceRule(cls.DEVICE, priority=7, normaliser=normaliser.LOWER),
        "cookie_id": NamespaceRule(cls.COOKIE, priority=8),
        "anonymous_id": NamespaceRule(cls.COOKIE, priority=8),
        RECORD_NAMESPACE: NamespaceRule(cls.RECORD, priority=9, fan_out=None),
    }


#: Values that stand for "nothing" in real exports and trackers, compared without case.
BLOCKED_VALUES = frozenset(
    "-1 n/a na nan nil none null undefined unknown anonymous anon guest test tbd false true void empty missing "
    "not_authenticated "
    "(null) <null> [null] \\n not_set not-set notset no_id noid distinct_id distinctid anonymous_id device_id "
    "user_id userid id email e-mail phone [object object] nobody@example.com".split()
) | {"[object object]", "not set", "not available", "not applicable", "no email", "no phone", "(not set)"}

#: Patterns of junk, matched against the whole value without case: zeros and dashes only (the nil UUID among
#: them), the same in braces, punctuation only.
BLOCKED_PATTERNS = (r"[0-]*", r"\{[0-]*\}", r"[^\w]+")

#: The same for phone numbers: one digit at least six times up to the end, after at most a country code.
BLOCKED_PHONES = (r"\+?\d{0,4}(\d)\1{5,}",)

#: Mailboxes of a role, not of a person (RFC 2142 names most of them).
ROLE_MAILBOXES = frozenset(
    "noreply no-reply no_reply donotreply do-not-reply mailer-daemon postmaster hostmaster webmaster abuse "
    "nobody root admin administrator".split()
)


@dataclass(frozen=True, slots=True)
class Blocked:
    """Junk values: exact ones and patterns (both without case), phone numbers, local parts of e-mail addresses."""

    values: frozenset[str] = BLOCKED_VALUES
    patterns: tuple[str, ...] = BLOCKED_PATTERNS
    phones: tuple[str, ...] = BLOCKED_PHONES
    mailboxes: frozenset[str] = ROLE_MAILBOXES


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken of traits: bytes of JSON of one trait, and names of traits a source that can be asked for.

    What is larger is a document, and no value to compare; each name becomes a property of the database for good, and a
    source with more of them uses names for what should be values.
    """

    trait_bytes: int = 16 * 1024
    trait_names: int = 1_000


@dataclass(frozen=True)
class Rules:
    """Everything that decides which evidence conducts. ``size_cap`` is in identifiers a profile.

    ``retention`` is for how many days events are kept, by type; others are kept for ever. ``aggregates`` are traits
    that events add up to, by name. Each of the ``deduplicated_sources`` holds a person once, so no profile holds two
    of its records.
    """

    policy: Policy = Policy.LATEST_OWNER
    size_cap: int = 1000
    strict: bool = False
    default_region: str | None = None
    namespaces: Mapping[str, NamespaceRule] = field(default_factory=_known)
    defaults: NamespaceRule = field(default_factory=NamespaceRule)
    blocked: Blocked = field(default_factory=Blocked)
    traits: Mapping[str, TraitRule] = field(default_factory=dict[str, TraitRule])
    retention: Mapping[str, int] = field(default_factory=dict[str, int])
    aggregates: Mapping[str, Declared] = field(default_factory=dict[str, Declared])
    limits: Limits = field(default_factory=Limits)
    deduplicated_sources: frozenset[str] = frozenset()

    def rule(self, namespace: str) -> NamespaceRule:
        return self.namespaces.get(namespace, self.defaults)

    def counted_with(self, key: str) -> tuple[str, ...]:
        """Of what a profile may hold only so many, as far as this identifier is one of them: its namespace, and the
        records of its source. :meth:`most_of` tells how many."""
        namespace, _, value = key.partition(":")
        own = () if self.rule(namespace).most is None else (namespace,)
        if namespace != RECORD_NAMESPACE or not self.deduplicated_sources:
            return own
        # A record id may hold a slash as well, so the source is looked for rather than cut off.
        return *own, *(RECORDS_OF + s for s in sorted(self.deduplicated_sources) if value.startswith(f"{s}/"))

    def most_of(self, counted: str) -> int:
        """The most of what :meth:`counted_with` names that one profile holds."""
        return 1 if counted.startswith(RECORDS_OF) else self.rule(counted).most or 0

    def knows(self, namespace: str) -> bool:
        return namespace in self.namespaces or not self.strict

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return _compiled(self.blocked.patterns)

    @cached_property
    def _phones(self) -> tuple[re.Pattern[str], ...]:
        return _compiled(self.blocked.phones)

    def is_blocked(self, namespace: str, value: str) -> bool:
        """True where the value is junk: it can be seen, but never joins anything.

        Quotes around a junk value are an export's. A record's key names its source and row, so it is never junk.
        """
        cls = self.rule(namespace).cls
        if cls is NamespaceClass.RECORD:
            return False
        folded = value.casefold()
        if folded.strip("'\"") in self.blocked.values or any(p.fullmatch(folded) for p in self._patterns):
            return True
        match cls:
            case NamespaceClass.EMAIL:
                return folded.partition("@")[0] in self.blocked.mailboxes and "@" in folded
            case NamespaceClass.PHONE:
                return any(p.fullmatch(folded) for p in self._phones)
            case _:
                return False

    def is_blocked_key(self, key: str) -> bool:
        namespace, _, value = key.partition(":")
        return self.is_blocked(namespace, value)

    def as_json(self) -> str:
        """The canonical text of these rules: equal rules give equal text."""
        plain = asdict(self)
        plain["blocked"] = {
            "values": sorted(self.blocked.values),
            "patterns": list(self.blocked.patterns),
            "phones": list(self.blocked.phones),
            "mailboxes": sorted(self.blocked.mailboxes),
        }
        plain["deduplicated_sources"] = sorted(self.deduplicated_sources)
        return json.dumps(plain, sort_keys=True, ensure_ascii=False)

    @cached_property
    def version(self) -> str:
        """A short name of these rules: the first 12 hex digits of the SHA-256 of their canonical text."""
        return hashlib.sha256(self.as_json().encode()).hexdigest()[:12]

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        """The inverse of :meth:`as_json`."""
        plain = json.loads(text)
        blocked = plain["blocked"]
        return cls(
            policy=Policy(plain["policy"]),
            size_cap=plain["size_cap"],
            strict=plain["strict"],
            default_region=plain["default_region"],
            namespaces={name: _rule(values) for name, values in plain["namespaces"].items()},
            defaults=_rule(plain["defaults"]),
            blocked=Blocked(
                frozenset(blocked["values"]),
                tuple(blocked["patterns"]),
                tuple(blocked["phones"]),
                frozenset(blocked["mailboxes"]),
            ),
            traits={name: _trait_rule(values) for name, values in plain["traits"].items()},
            retention=plain["retention"],
            aggregates={
                name: Declared(of["type"], What(of["what"]), of["days"]) for name, of in plain["aggregates"].items()
            },
            limits=Limits(**plain["limits"]),
            deduplicated_sources=frozenset(plain["deduplicated_sources"]),
        )


def _pairs(plain: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((pattern, template) for pattern, template in plain)


def _rule(values: dict[str, Any]) -> NamespaceRule:
    plain = dict(values)
    read = {
        "cls": NamespaceClass(plain.pop("cls")),
        "normaliser": Normaliser(plain.pop("normaliser")),
        "clean": tuple(map(Step, plain.pop("clean"))),
        "patterns": _pairs(plain.pop("patterns")),
    }
    # What is left are the fields as `asdict` wrote them, which JSON keeps.
    return NamespaceRule(**read, **plain)


def _trait_rule(plain: dict[str, Any]) -> TraitRule:
    return TraitRule(
        tuple(map(Survivorship, plain["survivorship"])),
        tuple(plain["sources"]),
        tuple(map(Step, plain["clean"])),
        _pairs(plain["patterns"]),
        plain["values"],
        plain["unit"],
    )


def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Simple patterns as one alternative, as every value is matched against them; others each alone.

    A pattern with a group or a flag of its own means something else inside another.
    """
    simple = [pattern for pattern in patterns if "(" not in pattern]
    others = [pattern for pattern in patterns if "(" in pattern]
    joined = ["|".join(simple)] if simple else []
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in joined + others)
