"""Intake: what a client sent becomes an :class:`Observation`, or a rejection that names the field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, cast

import orjson

from identity_graph.domain.events import DAY, MAX_AMOUNT, TYPE, Event, amount_of
from identity_graph.domain.evidence import Observation, observation
from identity_graph.domain.identifiers import Identifier, InvalidIdentifier, identify
from identity_graph.domain.rules import RECORD_NAMESPACE, Rules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: More identifiers than this in one observation are a list of people, not a person.
MAX_IDENTIFIERS = 20
#: Traits of one observation, in bytes of JSON: what trackers allow an event.
MAX_TRAITS = 32 * 1024
#: The properties of an event likewise.
MAX_PROPERTIES = 32 * 1024
#: Characters of a trait's name in a message or a path.
MAX_SHOWN = 64
MAX_ID = 256
#: Longest name of a source, in characters.
MAX_SOURCE = 64


@dataclass(frozen=True, slots=True)
class Rejection:
    """An observation that was not taken: a code of the contract, a sentence, and the path to the field."""

    observation_id: str | None
    code: str
    message: str
    path: tuple[str | int, ...] = ()


def too_many_names(observation_id: str, left_out: Sequence[str], rules: Rules) -> Rejection:
    """What is said of traits that stay in the record of an observation, which was taken."""
    most, first = rules.limits.trait_names, left_out[0][:MAX_SHOWN]
    message = (
        f"the source has {most:,} names of traits already, so {len(left_out):,} of this observation, {first} for one, "
        "stay in its record and cannot be asked for; use values for what differs from person to person"
    )
    return Rejection(observation_id, "TOO_MANY_TRAIT_NAMES", message, ("traits", first))


class _Rejected(Exception):
    def __init__(self, code: str, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.code, self.message, self.path = code, message, path


def parse_observation(raw: Mapping[str, Any], rules: Rules, now: int) -> Observation | Rejection:
    """Check and normalise one observation in the contract's form (see ``SubmitLinks``).

    ``raw`` has ``id``, ``source``, ``identifiers`` (maps of ``namespace`` and ``value``) and perhaps ``observedAt``
    (ISO 8601 text or a datetime; one without an offset is UTC; absent: ``now``), ``recordId``, ``traits`` and
    ``event`` (``type`` and perhaps ``properties``). ``now`` is in microseconds since 1970.
    """
    id = raw.get("id")
    try:
        id = _text(id, "id")
        source = _text(raw.get("source"), "source", MAX_SOURCE)
        record_id = raw.get("recordId")
        if record_id is not None:
            record_id = _text(str(record_id) if isinstance(record_id, int) else record_id, "recordId")
        at = _time(raw.get("observedAt"), now)
        identifiers = _identifiers(raw.get("identifiers"), rules, record_id is not None)
        traits, packed = _traits(raw.get("traits"), rules.limits.trait_bytes)
        event = _event(raw.get("event"))
    except _Rejected as e:
        return Rejection(id if isinstance(id, str) else None, e.code, e.message, e.path)
    named = sorted((i.namespace, i.raw) for i in identifiers)
    content = orjson.dumps([source, record_id, None if raw.get("observedAt") is None else at, named])
    if event:
        # JSON holds no NUL, so no traits can pass for an event.
        packed += f"\0{event.type}\0{event.properties}".encode()
    digest = blake2b(content + packed, digest_size=16).hexdigest()
    taken = observation(id, source, at, identifiers, digest, rules, record_id, traits, event)
    if (traits is not None or event) and taken.anchor is None:
        what = "event" if traits is None else "traits"
        message = f"none of the identifiers can hold the {what}: all are junk values; give a recordId"
        return Rejection(id, "INVALID_IDENTIFIER", message, ("identifiers",))
    return taken


def _text(value: object, field: str, most: int = MAX_ID) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Rejected("INVALID_OBSERVATION", f"{field} must be a text that is not empty", field)
    if len(value) > most:
        raise _Rejected("INVALID_OBSERVATION", f"{field} has at most {most} characters", field)
    if not value.isprintable():
        raise _Rejected("INVALID_OBSERVATION", f"{field} must not hold control characters", field)
    return value


def _time(value: object, now: int) -> int:
    if value is None:
        return now
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(cast(str, value))
    except (TypeError, ValueError):
        message = "observedAt must be an ISO 8601 date and time such as 2026-03-01T10:00:00Z"
        raise _Rejected("TIMESTAMP_OUT_OF_RANGE", message, "observedAt") from None
    try:
        at = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
    except OverflowError:
        at = -1
    if not 0 <= at <= now + DAY:
        message = "observedAt must lie between 1970 and one day from now"
        raise _Rejected("TIMESTAMP_OUT_OF_RANGE", message, "observedAt")
    return at


def _identifiers(value: object, rules: Rules, has_record: bool) -> list[Identifier]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        if value is None and has_record:
            return []
        raise _Rejected("INVALID_OBSERVATION", "identifiers must be a list of namespace and value", "identifiers")
    items = cast(Sequence[object], value)
    if len(items) > MAX_IDENTIFIERS:
        message = f"an observation has at most {MAX_IDENTIFIERS} identifiers, this one has {len(items)}"
        raise _Rejected("TOO_MANY_IDENTIFIERS", message, "identifiers")
    if not items and not has_record:
        message = "an observation needs at least one identifier or a recordId"
        raise _Rejected("INVALID_IDENTIFIER", message, "identifiers")
    found: list[Identifier] = []
    for at, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise _Rejected("INVALID_IDENTIFIER", "an identifier has a namespace and a value", "identifiers", at)
        one = cast(Mapping[str, object], item)
        namespace, raw = one.get("namespace"), one.get("value")
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        if not isinstance(namespace, str) or not isinstance(raw, str):
            message = "an identifier's namespace and value must be texts"
            raise _Rejected("INVALID_IDENTIFIER", message, "identifiers", at)
        if namespace == RECORD_NAMESPACE:
            message = "the namespace record is made from source and recordId; give those instead"
            raise _Rejected("INVALID_IDENTIFIER", message, "identifiers", at, "namespace")
        try:
            found.append(identify(namespace, raw, rules))
        except InvalidIdentifier as e:
            code = "UNKNOWN_NAMESPACE" if e.unknown_namespace else "INVALID_IDENTIFIER"
            raise _Rejected(code, f"{namespace[:MAX_SHOWN]}: {e}", "identifiers", at, e.field) from None
    return found


def _traits(value: object, most: int) -> tuple[dict[str, Any] | None, bytes]:
    """The traits and their JSON, each of at most so many bytes. Where one of them is to blame the path leads to it."""
    if value is None:
        return None, b""
    if not isinstance(value, dict):
        raise _Rejected("INVALID_OBSERVATION", "traits must be an object of names and values", "traits")
    said = cast(dict[str, Any], value)
    packed = _json(said)
    if packed is None or len(packed) > most:
        sizes = {name: _trait_size(name, one, most) for name, one in said.items()}
        if packed is None:
            raise _Rejected("INVALID_OBSERVATION", "the names of traits must be texts", "traits")
        if len(packed) > MAX_TRAITS:
            largest = max(sizes, key=sizes.__getitem__)[:MAX_SHOWN]
            message = f"traits may have {MAX_TRAITS} bytes of JSON in all; the largest of them is {largest}"
            raise _Rejected("PAYLOAD_TOO_LARGE", message, "traits", largest)
    return said, packed


def _trait_size(name: str, value: object, most: int) -> int:
    shown, packed = str(name)[:MAX_SHOWN], _json(value)
    if packed is None:
        message = f"the trait {shown} must be plain JSON of bounded depth"
        raise _Rejected("INVALID_OBSERVATION", message, "traits", shown)
    if len(packed) > most:
        message = f"the trait {shown} may have {most} bytes of JSON; send a reference to the document"
        raise _Rejected("PAYLOAD_TOO_LARGE", message, "traits", shown)
    return len(packed)


def _event(value: object) -> Event | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _Rejected("INVALID_OBSERVATION", "an event has a type and perhaps properties", "event")
    said = cast(Mapping[str, object], value)
    if unknown := said.keys() - {"type", "properties"}:
        raise _Rejected("INVALID_OBSERVATION", "an event has a type and perhaps properties", "event", min(unknown))
    type, given = said.get("type"), said.get("properties")
    if not isinstance(type, str) or not TYPE.fullmatch(type):
        message = "an event's type has 1 to 64 small letters, digits, '_', '.', ':' or '-', such as page or purchase"
        raise _Rejected("INVALID_OBSERVATION", message, "event", "type")
    properties = {} if given is None else given
    if not isinstance(properties, dict):
        message = "event.properties must be an object of names and values"
        raise _Rejected("INVALID_OBSERVATION", message, "event", "properties")
    packed = _json(properties)
    if packed is None:
        message = "event.properties must be plain JSON of bounded depth"
        raise _Rejected("INVALID_OBSERVATION", message, "event", "properties")
    if len(packed) > MAX_PROPERTIES:
        message = f"event.properties may have {MAX_PROPERTIES} bytes of JSON"
        raise _Rejected("PAYLOAD_TOO_LARGE", message, "event", "properties")
    try:
        amount = amount_of(cast(dict[str, Any], properties))
    except ValueError as e:
        message = f"an event's {e} lies between -{MAX_AMOUNT:,} and {MAX_AMOUNT:,}"
        raise _Rejected("INVALID_OBSERVATION", message, "event", "properties", str(e)) from None
    return Event(type, packed.decode(), amount)


def _json(value: object) -> bytes | None:
    """Its JSON with sorted keys; None where it is no JSON, or too deep."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError):
        return None
