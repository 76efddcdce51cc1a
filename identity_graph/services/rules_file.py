"""The rules file: TOML in, :class:`Rules` out, or every problem at once with its line and what to do about it.

A file says only what differs from the defaults; an empty one is the defaults.
"""

import re
import tomllib
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, cast

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from identity_graph.domain.cleaning import OF_IDENTIFIERS, UNITS, Step
from identity_graph.domain.events import AGGREGATES, EVERY_TYPE, TYPE, Declared, What
from identity_graph.domain.identifiers import MAX_VALUE, NAMESPACE
from identity_graph.domain.intake import MAX_TRAITS
from identity_graph.domain.rules import (
    Blocked,
    Limits,
    NamespaceClass,
    NamespaceRule,
    Normaliser,
    Policy,
    Rules,
    Survivorship,
    TraitRule,
)
from identity_graph.domain.segments import MAX_DAYS
from identity_graph.domain.traits import NAME as TRAIT_NAME

#: Most ways in which one pattern may be tried on one value. Two unbounded repetitions in a row (263,000 ways) take
#: 3 ms, three (135 million) take 0.4 s, and a repetition inside a repetition doubles with every character.
MOST_WAYS = 2_000_000

_LONGEST_FILE = 1_000_000
#: Names of traits that a source may be allowed: the whole catalogue is read at once where it changed.
MOST_NAMES = 10_000
#: Aggregates that may be declared: each is counted for each profile that is shown or exported.
MOST_AGGREGATES = 20
_Path = tuple[str | int, ...]


INVALID = "INVALID_RULES"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a rules file. ``line`` counts from 1, or is None where no line is at fault.

    ``code`` is ``INVALID_PATTERN`` for what is no regular expression, ``EXPLODING_PATTERN`` for one that can take very
    long, and else ``INVALID_RULES``.
    """

    line: int | None
    key: str
    message: str
    advice: str
    code: str = INVALID

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        key = f"{self.key}: " if self.key else ""
        return f"{where}{key}{self.message}. {self.advice}".rstrip()


class RulesFileError(ValueError):
    """The rules file cannot be used; ``problems`` holds everything that is wrong with it, in order of lines."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load_rules(path: Path) -> Rules:
    """The rules in a file. Raises :class:`RulesFileError`, also where it cannot be read."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as e:
        advice = "Give the path of a TOML file that this user may read."
        raise RulesFileError([Problem(None, "", f"{path} cannot be read: {e.strerror}", advice)]) from None
    except UnicodeDecodeError as e:
        line = e.object.count(b"\n", 0, e.start) + 1
        raise RulesFileError([Problem(line, "", "the text is not UTF-8", "Save the file as UTF-8.")]) from None
    return parse_rules(text)


def parse_rules(text: str) -> Rules:
    """The rules that a TOML text says. Raises :class:`RulesFileError` with every problem of the text."""
    if len(text) > _LONGEST_FILE:
        message = f"the text has {len(text):,} characters, at most {_LONGEST_FILE:,} are read"
        raise RulesFileError([Problem(None, "", message, "Block many values by a pattern rather than one by one.")])
    try:
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise RulesFileError([_syntax(str(e), text)]) from None
    except RecursionError:
        raise RulesFileError([Problem(None, "", "the text is nested too deeply", "Use tables and lists.")]) from None
    found = list(_contradictions(said))
    try:
        file = _File.model_validate(said)
    except ValidationError as e:
        found += [_coded(cast("Mapping[str, Any]", error)) for error in e.errors()]
        file = None
    if found or file is None:
        lines = _Lines(text)
        problems = [Problem(lines.of(path), _dotted(path), *said) for path, *said in found]
        raise RulesFileError(sorted(problems, key=lambda p: (p.line or 0, p.key)))
    return file.rules()


# --- What a file may say


def _count(least: int) -> Callable[[object], int | None]:
    """Reads a number of at least ``least``, or "none" for no bound."""

    def read(value: object) -> int | None:
        if value == "none":
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise AssertionError
        return value

    return read


def _region(value: str) -> str:
    if value not in phonenumbers.SUPPORTED_REGIONS:
        raise AssertionError
    return value


def _name(value: str) -> str:
    if not NAMESPACE.fullmatch(value):
        raise ValueError("a namespace starts with a letter and has at most 64 letters, digits, '_', '.' or '-'")
    return value


def _trait(value: str) -> str:
    if not TRAIT_NAME.fullmatch(value):
        raise ValueError("a trait's name here has 1 to 64 letters, digits, blanks, '_', '.' or '-'")
    return value


def _event_type(value: str) -> str:
    if not TYPE.fullmatch(value):
        raise ValueError("a type of event has 1 to 64 small letters, digits, '_', '.', ':' or '-'")
    return value


def _aggregate(value: str) -> str:
    if value in AGGREGATES:
        raise ValueError(f"{value} is what events add up to already; take another name")
    return _trait(value)


def _few(value: dict[str, "_Aggregate"]) -> dict[str, "_Aggregate"]:
    if len(value) > MOST_AGGREGATES:
        raise ValueError(
            f"there are {len(value)} aggregates, at most {MOST_AGGREGATES} may be declared; each is counted for each "
            "profile that is shown, so leave out those that only segments ask for, which can count events themselves"
        )
    return value


def _of_identifiers(value: Step) -> Step:
    if value not in OF_IDENTIFIERS:
        raise AssertionError
    return value


def _expands(pattern: str, template: str) -> bool:
    try:
        import_module("re._parser").parse_template(template, re.compile(pattern))
    except (re.error, IndexError):
        return False
    return True


def _unit(value: str) -> str:
    if not any(value in units for units in UNITS):
        raise AssertionError
    return value


def _folded(value: str) -> str:
    folded = unicodedata.normalize("NFC", value).strip().casefold()
    if not folded:
        raise ValueError("an empty text blocks nothing; empty identifiers are refused anyway")
    return folded


def _mailbox(value: str) -> str:
    if "@" in value:
        raise ValueError("a mailbox is the part before the @; a whole address belongs in values")
    return _folded(value)


class _BadPattern(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _pattern(value: str) -> str:
    """A regular expression that compiles and cannot be made slow by the value it is tried on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(value)
    except (re.error, OverflowError, RecursionError, Warning) as e:
        raise _BadPattern("INVALID_PATTERN", f"not a regular expression: {e}") from None
    if ways(value) > MOST_WAYS:
        raise _BadPattern(
            "EXPLODING_PATTERN",
            "this regular expression can take very long; avoid a repetition or alternatives inside a repetition, "
            "and bound repetitions that follow each other, such as {1,20} in place of +",
        )
    return value


def ways(pattern: str) -> int:
    """An upper bound on the ways in which a backtracking matcher can try a pattern on a value of ``MAX_VALUE``.

    Items in sequence multiply, alternatives add, and a body of w ways that repeats from m to n times has
    w^m + … + w^n. The bound stops growing above ``MOST_WAYS``.
    """
    # The parser of the standard library has no public name; re-implementing it here would be less right.
    return _ways(import_module("re._parser").parse(pattern))


def _ways(items: Iterable[tuple[Any, Any]]) -> int:
    total = 1
    for operation, argument in items:
        match str(operation):
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = argument
                total *= _repeated(_ways(body), least, min(int(most), MAX_VALUE))
            case "BRANCH":
                total *= sum(_ways(branch) for branch in argument[1])
            case "SUBPATTERN":
                total *= _ways(argument[-1])
            case "ATOMIC_GROUP":
                total *= _ways(argument)
            case "ASSERT" | "ASSERT_NOT":
                total *= _ways(argument[1])
            case "GROUPREF_EXISTS":
                _, yes, no = argument
                total *= _ways(yes) + (_ways(no) if no else 1)
            case _:
                pass
        total = min(total, MOST_WAYS + 1)
    return total


def _repeated(body: int, least: int, most: int) -> int:
    if body == 1:
        return max(most - least + 1, 1)
    total = 0
    for times in range(least, most + 1):
        total += body**times
        if total > MOST_WAYS:
            return MOST_WAYS + 1
    return max(total, 1)


_Name = Annotated[str, AfterValidator(_name)]
_TraitName = Annotated[str, AfterValidator(_trait)]
_AggregateName = Annotated[str, AfterValidator(_aggregate)]
_EventType = Annotated[str, AfterValidator(_event_type)]
_Limit = Annotated[int | None, BeforeValidator(_count(1))]
_FanOut = Annotated[int | None, BeforeValidator(_count(0))]
_Positive = Annotated[int, Field(strict=True, ge=1)]
_Flag = Annotated[bool, Field(strict=True)]
_Values = list[Annotated[str, AfterValidator(_folded)]]
_Mailboxes = list[Annotated[str, AfterValidator(_mailbox)]]
_Patterns = list[Annotated[str, AfterValidator(_pattern)]]


def _one_of(values: Iterable[str]) -> str:
    return "one of " + ", ".join(f'"{value}"' for value in values)


_WHOLE = "a whole number of at least 1"
_TEXTS = 'a list of texts such as ["a", "b"]'
_REGEXES = 'a list of regular expressions, each matched against the whole value, such as ["test-.*"]'

#: What each key expects, for the messages; a key is named alike wherever it stands.
EXPECTED: Mapping[str, str] = {
    "policy": _one_of(Policy),
    "size_cap": f"{_WHOLE} (identifiers a profile)",
    "strict": "true or false",
    "default_region": 'a country code of two capital letters such as "NL" or "GB"',
    "deduplicated_sources": 'a list of sources such as ["crm", "shop"]',
    "defaults": "a table, [defaults]",
    "namespaces": "tables, one a namespace, such as [namespaces.email]",
    "blocked": "a table, [blocked]",
    "class": _one_of(NamespaceClass),
    "unique": "true or false",
    "limit": f'{_WHOLE}, or "none"',
    "priority": f"{_WHOLE} (1 is the strongest)",
    "normaliser": _one_of(Normaliser),
    "fan_out": 'a whole number of at least 0, or "none"',
    "builtin": "true or false",
    "values": _TEXTS,
    "patterns": _REGEXES,
    "mailboxes": _TEXTS,
    "phones": _REGEXES,
    "traits": "tables, one a trait, such as [traits.country]",
    "survivorship": 'a list of criteria such as ["most_frequent", "longest"]',
    "events": "tables, one a type of event, such as [events.page]",
    "aggregates": "tables, one an aggregate, such as [aggregates.orders_30_days]",
    "what": _one_of(What),
    "days": f"a whole number from 1 to {MAX_DAYS} (days until now); leave it out for all time",
    "retention_days": f"{_WHOLE} (days that an event is kept)",
    "clean": 'a list of steps such as ["trim", "lower"]',
    "rewrite": r"a table of regular expressions, each matched against the whole value, such as { '(\d+) pts' = '\1' }",
    "map": 'a table of values such as { "Holland" = "NL" }',
    "limits": "a table, [limits]",
    "trait_bytes": f"a whole number from 1 to {MAX_TRAITS} (bytes of JSON of one trait)",
    "trait_names": f"a whole number from 1 to {MOST_NAMES} (names of traits a source)",
    "unit": _one_of(unit for units in UNITS for unit in units),
    "sources": 'a list of sources such as ["crm", "shop"], the most trusted first',
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Cleaning(_Section):
    clean: list[Step] = []
    rewrite: dict[Annotated[str, AfterValidator(_pattern)], str] = {}
    map: dict[str, str] = {}

    @model_validator(mode="after")
    def _templates_expand(self) -> "_Cleaning":
        for pattern, template in self.rewrite.items():
            if not _expands(pattern, template):
                raise ValueError(f"rewrite: {template} names a group that {pattern} has not; number them from \\\\1")
        return self

    def folded_map(self) -> dict[str, str]:
        return {raw.casefold(): value for raw, value in self.map.items()}


class _Namespace(_Cleaning):
    clean: list[Annotated[Step, AfterValidator(_of_identifiers)]] = []
    cls: NamespaceClass = Field(default=NamespaceClass.CROSS_DEVICE, alias="class")
    unique: _Flag = False
    limit: _Limit = None
    priority: _Positive = 1
    normaliser: Normaliser = Normaliser.TEXT
    fan_out: _FanOut = None

    def over(self, base: NamespaceRule) -> NamespaceRule:
        """The base with what this section says, field by field."""
        said = self.model_fields_set
        own = {name: getattr(self, name) for name in said - {"clean", "rewrite", "map"}}
        own |= {"clean": tuple(self.clean)} if "clean" in said else {}
        own |= {"patterns": tuple(self.rewrite.items())} if "rewrite" in said else {}
        own |= {"values": self.folded_map()} if "map" in said else {}
        return replace(base, **own)


class _Blocked(_Section):
    builtin: _Flag = True
    values: _Values = []
    patterns: _Patterns = []
    mailboxes: _Mailboxes = []
    phones: _Patterns = []

    def blocked(self) -> Blocked:
        start = Blocked() if self.builtin else Blocked(frozenset(), (), (), frozenset())
        return Blocked(
            values=start.values | frozenset(self.values),
            patterns=tuple(dict.fromkeys((*start.patterns, *self.patterns))),
            phones=tuple(dict.fromkeys((*start.phones, *self.phones))),
            mailboxes=start.mailboxes | frozenset(self.mailboxes),
        )


class _Trait(_Cleaning):
    survivorship: list[Survivorship] = []
    sources: list[str] = []
    unit: Annotated[str, AfterValidator(_unit)] | None = None

    @model_validator(mode="after")
    def _sources_are_used(self) -> "_Trait":
        if bool(self.sources) is not (Survivorship.SOURCE_PRIORITY in self.survivorship):
            raise ValueError("source_priority and sources need each other; write both or neither")
        return self

    def rule(self) -> TraitRule:
        return TraitRule(
            tuple(self.survivorship),
            tuple(self.sources),
            tuple(self.clean),
            tuple(self.rewrite.items()),
            self.folded_map(),
            self.unit,
        )


class _Event(_Section):
    retention_days: _Positive | None = None


class _Aggregate(_Section):
    events: _EventType = EVERY_TYPE
    what: What
    days: Annotated[int, Field(strict=True, ge=1, le=MAX_DAYS)] | None = None


class _Limits(_Section):
    trait_bytes: Annotated[int, Field(strict=True, ge=1, le=MAX_TRAITS)] = Limits().trait_bytes
    trait_names: Annotated[int, Field(strict=True, ge=1, le=MOST_NAMES)] = Limits().trait_names


class _File(_Section):
    policy: Policy = Policy.LATEST_OWNER
    size_cap: _Positive = 1000
    strict: _Flag = False
    default_region: Annotated[str, AfterValidator(_region)] | None = None
    deduplicated_sources: list[str] = []
    defaults: _Namespace = Field(default_factory=lambda: _Namespace.model_validate({}))
    namespaces: dict[_Name, _Namespace] = {}
    blocked: _Blocked = _Blocked()
    traits: dict[_TraitName, _Trait] = {}
    events: dict[_EventType, _Event] = {}
    aggregates: Annotated[dict[_AggregateName, _Aggregate], AfterValidator(_few)] = {}
    limits: _Limits = _Limits()

    def rules(self) -> Rules:
        start = Rules()
        defaults = self.defaults.over(start.defaults)
        named = {name: said.over(start.namespaces.get(name, defaults)) for name, said in self.namespaces.items()}
        own = {name: getattr(self, name) for name in self.model_fields_set & {"policy", "size_cap", "strict"}}
        return replace(
            start,
            **own,
            default_region=self.default_region,
            deduplicated_sources=frozenset(self.deduplicated_sources),
            defaults=defaults,
            namespaces={**start.namespaces, **named},
            blocked=self.blocked.blocked(),
            traits={name: said.rule() for name, said in self.traits.items()},
            retention={type: days for type, said in self.events.items() if (days := said.retention_days)},
            aggregates={name: Declared(said.events, said.what, said.days) for name, said in self.aggregates.items()},
            limits=Limits(**self.limits.model_dump()),
        )


# --- What is wrong with it


def _syntax(reason: str, text: str) -> Problem:
    at = re.search(r" \(at line (\d+), column (\d+)\)$", reason)
    line = int(at[1]) if at else text.count("\n") + 1
    message = f"not valid TOML: {reason[: at.start()] if at else reason.partition(' (')[0]}"
    advice = "Write keys as `name = value`, tables as `[name]`, texts as \"text\", regular expressions as 'text'."
    return Problem(line, "", message, advice)


def _coded(error: Mapping[str, Any]) -> tuple[_Path, str, str, str]:
    """A validation error as a place, a sentence, advice and a code."""
    cause = error.get("ctx", {}).get("error")
    return *_explain(error), cause.code if isinstance(cause, _BadPattern) else INVALID


def _explain(error: Mapping[str, Any]) -> tuple[_Path, str, str]:
    """A validation error as a place, a sentence and advice."""
    path: _Path = tuple(part for part in error["loc"] if part != "[key]")
    value, key = error["input"], str(path[-1])
    match error["type"]:
        case "extra_forbidden":
            known = _keys_beside(path)
            near = _near(key, known)
            return path, "unknown key", f"Did you mean {near}?" if near else f"Known here: {', '.join(known)}."
        case "missing":
            return path, "missing", f"Give it as {EXPECTED[key]}."
        case "value_error":
            message, _, advice = str(error["ctx"]["error"]).partition("; ")
            return path, message, _sentence(advice)
        case _:
            named = next((p for p in reversed(path) if isinstance(p, str) and p in EXPECTED), key)
            expected = (
                "a text" if isinstance(path[-1], int) and named != "survivorship" else EXPECTED.get(named, "a table")
            )
            if isinstance(path[-1], int) and named in ("survivorship", "clean"):
                steps = Step if path[0] == "traits" else OF_IDENTIFIERS
                expected = _one_of(Survivorship if named == "survivorship" else steps)
            if path[0] == "aggregates" and key == "events":
                expected = 'a type of event such as "purchase"; leave it out for every type'
            if len(path) == 2 and path[0] in ("namespaces", "traits", "events", "aggregates"):
                expected = f"a table, [{path[0]}.{key}]"
            near = _near(value, re.findall(r'"(\w+)"', expected)) if isinstance(value, str) else None
            hint = f' Did you mean "{near}"?' if near else ""
            return path, f"found {_short(value)}", f"Expected {expected}.{hint}"


def _contradictions(said: Mapping[str, Any]) -> Iterator[tuple[_Path, str, str, str]]:
    """Where a namespace would be unique and have another limit. Looks at whatever else is well-formed."""
    start = Rules()
    defaults = {**asdict(start.defaults), **_table(said.get("defaults"))}
    sections: dict[_Path, tuple[dict[str, Any], dict[str, Any]]] = {
        ("defaults",): (defaults, _table(said.get("defaults")))
    }
    for name, section in _table(said.get("namespaces")).items():
        base = asdict(start.namespaces[name]) if name in start.namespaces else defaults
        sections["namespaces", name] = (base, _table(section))
    for path, (base, section) in sections.items():
        effective = {**base, **section}
        if section.keys() & {"unique", "limit"} and effective["unique"] is True and effective["limit"] not in _NO_LIMIT:
            advice = "A unique namespace has one value a profile: leave out limit, or write unique = false."
            yield (*path, "limit" if "limit" in section else "unique"), "unique and limited at once", advice, INVALID


_NO_LIMIT = (None, "none", 1)


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _keys_beside(path: _Path) -> list[str]:
    match path:
        case ("blocked", _):
            section: type[_Section] = _Blocked
        case ("defaults", _) | ("namespaces", _, _):
            section = _Namespace
        case ("events", _, _):
            section = _Event
        case ("aggregates", _, _):
            section = _Aggregate
        case ("limits", _):
            section = _Limits
        case ("traits", _, _):
            section = _Trait
        case _:
            section = _File
    return [field.alias or name for name, field in section.model_fields.items()]


def _near(word: str, known: Iterable[str]) -> str | None:
    folded = {name.casefold().replace("-", "_"): name for name in known}
    close = get_close_matches(word.casefold().replace("-", "_"), folded, 1)
    return folded[close[0]] if close else None


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _short(value: object) -> str:
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _dotted(path: _Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Lines:
    """The line of every key in a valid TOML text, which the parser of the standard library does not tell.

    Each header and each `key = value` is valid TOML by itself, so the text is cut into the shortest pieces that are.
    """

    def __init__(self, text: str) -> None:
        self._pieces: dict[_Path, tuple[int, list[str]]] = {}
        header: _Path = ()
        start, piece = 1, list[str]()
        for number, line in enumerate(text.split("\n"), 1):
            piece.append(line)
            # Only these end a value that runs over lines; trying at each line of a long list would be quadratic.
            if len(piece) > 1 and not any(mark in line for mark in ("]", '"""', "'''")):
                continue
            try:
                parsed = tomllib.loads("\n".join(piece))
            except tomllib.TOMLDecodeError:
                continue
            paths = list(_paths(parsed))
            is_header = piece[0].lstrip().startswith("[")
            if is_header and paths:
                header = paths[-1]
            for path in paths:
                self._pieces.setdefault(path if is_header else (*header, *path), (start, piece))
            start, piece = number + 1, []

    def of(self, path: _Path) -> int | None:
        """The line of a key or list item; of what holds it where it has no line of its own."""
        for length in range(len(path), 0, -1):
            piece = self._pieces.get(path[:length])
            if piece:
                start, lines = piece
                index = path[length] if length < len(path) else None
                return start + (_item(lines, index) if isinstance(index, int) else 0)
        return None


def _paths(parsed: Mapping[str, Any], above: _Path = ()) -> Iterator[_Path]:
    for key, value in parsed.items():
        yield (*above, key)
        yield from _paths(_table(value), (*above, key))


def _item(lines: list[str], index: int) -> int:
    """How many lines below its key the item of a list stands, counting the items of each line."""
    count, rest = 0, ""
    for offset, line in enumerate([lines[0].partition("[")[2], *lines[1:]]):
        rest = f"{rest}\n{line}"
        for closed in (f"x = [{rest}\n]", f"x = [{rest}"):
            try:
                count += len(tomllib.loads(closed)["x"])
            except tomllib.TOMLDecodeError:
                continue
            rest = ""
            break
        if count > index:
            return offset
    return 0
