"""The scalars of the schema: moments and JSON."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

import orjson
import strawberry
from strawberry.schema.config import StrawberryConfig

from identity_graph.api.errors import BadInput
from identity_graph.domain.intake import EPOCH, MICROSECOND

DateTime = NewType("DateTime", str)
"""A moment as text. Inside the service a moment is an integer: microseconds since 1970, UTC."""

JSON = NewType("JSON", object)
"""Any JSON value."""


def _text_only(value: Any) -> str:
    # Read no further here: in a list of observations a date that makes no sense must spoil only its own.
    if not isinstance(value, str):
        raise ValueError("a date and time is a text such as 2026-03-01T10:00:00Z")
    return value


def _as_is(value: Any) -> Any:
    return value


SCALARS = StrawberryConfig(
    scalar_map={
        DateTime: strawberry.scalar(
            name="DateTime",
            description="A date and time as ISO 8601 text, such as 2026-03-01T10:00:00Z. Without an offset it is UTC.",
            specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
            serialize=_as_is,
            parse_value=_text_only,
        ),
        JSON: strawberry.scalar(name="JSON", description="Any JSON value.", serialize=_as_is, parse_value=_as_is),
    }
)


_EPOCH_IN_UTC = EPOCH.replace(tzinfo=None)


def moment(at: int) -> DateTime:
    """Microseconds since 1970 as ISO 8601 text in UTC."""
    # A moment without a zone is written in half of the time.
    return DateTime((_EPOCH_IN_UTC + timedelta(microseconds=at)).isoformat() + "Z")


def microseconds(text: str | None, field: str) -> int | None:
    """The inverse of :func:`moment`, also for other offsets."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND
    except (ValueError, OverflowError):
        raise BadInput(f"{field} must be an ISO 8601 date and time such as 2026-03-01T10:00:00Z") from None


def raw_json(text: str | bytes) -> JSON:
    """JSON text that goes into the response as it is."""
    return JSON(orjson.Fragment(text))


def to_cursor(*key: str | float) -> str:
    """An opaque cursor: where a page ends, in the order of its list."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def from_cursor(cursor: str, *kinds: type, argument: str = "after") -> tuple[Any, ...]:
    """The key in a cursor, whose parts must be of these types; ``argument`` is where it was given."""
    try:
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        key = None
    if (
        not isinstance(key, list)
        or [type(part) for part in key] != list(kinds)
        or any(isinstance(part, int) and abs(part) >= 2**63 for part in key)
    ):
        raise BadInput(f"{argument} must be a cursor that this list gave out")
    return tuple(key)
