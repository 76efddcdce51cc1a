"""One table: how each error reaches a client, over GraphQL and over HTTP."""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

from identity_graph.services.submit import Overloaded
from identity_graph.store import errors as store

logger = logging.getLogger("identity_graph.api")

#: Longest message that is handed out: the library's own quote what was sent.
MAX_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Rendering:
    """A machine-readable code, the HTTP status, and after how many seconds to try again (None: do not)."""

    code: str
    status: int
    retry_after: int | None = None


class ApiError(Exception):
    """The request cannot be answered; the message says what was expected."""

    rendering = Rendering("BAD_INPUT", 400)


class BadInput(ApiError):
    """An argument is wrong; the message names it."""


class UnusableIdentifier(ApiError):
    rendering = Rendering("INVALID_IDENTIFIER", 400)


class NotSupported(ApiError):
    """The request is no valid GraphQL over HTTP."""

    rendering = Rendering("BAD_REQUEST", 400)


class WrongMethod(ApiError):
    rendering = Rendering("METHOD_NOT_ALLOWED", 405)


class NotAcceptable(ApiError):
    rendering = Rendering("NOT_ACCEPTABLE", 406)


class WrongMediaType(ApiError):
    rendering = Rendering("UNSUPPORTED_MEDIA_TYPE", 415)


class TooLarge(ApiError):
    rendering = Rendering("PAYLOAD_TOO_LARGE", 413)


class TooComplex(ApiError):
    """The document asks for more than one request may."""

    rendering = Rendering("TOO_COMPLEX", 400)


class Unauthenticated(ApiError):
    rendering = Rendering("UNAUTHENTICATED", 401)


class Forbidden(ApiError):
    rendering = Rendering("FORBIDDEN", 403)


class NoModel(ApiError):
    rendering = Rendering("NO_ACTIVE_MODEL", 409)


class RequestTimedOut(ApiError):
    rendering = Rendering("TIMED_OUT", 504, 1)


class NotReady(ApiError):
    rendering = Rendering("NOT_READY", 503, 1)


INTERNAL = Rendering("INTERNAL", 500)
NEVER_GIVEN_OUT = "X-Consistency-Token must be a consistencyToken that a write gave out"

_TABLE: Mapping[type[Exception], Rendering] = {
    store.Unavailable: Rendering("UNAVAILABLE", 503, 1),
    store.TimedOut: Rendering("TIMED_OUT", 504, 1),
    store.Conflict: Rendering("CONFLICT", 409, 1),
    store.RulesChanged: Rendering("RULES_CHANGED", 409, 1),
    store.OutcomeUnknown: Rendering("OUTCOME_UNKNOWN", 503, 1),
    store.SchemaMismatch: Rendering("SCHEMA_MISMATCH", 503),
    Overloaded: Rendering("OVERLOADED", 429, 1),
}

_SENTENCES: Mapping[type[Exception], str] = {
    Overloaded: "more is waiting to be written than fits a request's time; send it again in a second",
}


def render(error: Exception) -> tuple[Rendering, str]:
    """How a client sees this error. What nobody foresaw is logged, without its message: that may hold personal data."""
    if isinstance(error, ApiError):
        return error.rendering, str(error)
    rendering = _TABLE.get(type(error))
    if rendering:
        return rendering, _SENTENCES.get(type(error)) or str(error)
    if isinstance(error, store.Refused) and "Bookmark" in str(error):
        return BadInput.rendering, NEVER_GIVEN_OUT
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("unexpected %s\n%s", type(error).__name__, frames)
    return INTERNAL, "an unexpected error; the service's log tells where"


def formatted(error: GraphQLError, code: str | None = None) -> tuple[dict[str, Any], Rendering]:
    """An entry of ``errors``, always with a code. ``code`` is for errors of the library itself: parsing, validation."""
    original = error.original_error
    if code or original is None or isinstance(original, GraphQLError):
        rendering, message = Rendering(code or "BAD_INPUT", 400), error.message
    else:
        rendering, message = render(original)
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + "…"
    entry: dict[str, Any] = {"message": message}
    if error.locations:
        entry["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path is not None:
        entry["path"] = error.path
    entry["extensions"] = extensions(rendering)
    return entry, rendering


def extensions(rendering: Rendering) -> dict[str, Any]:
    return {"code": rendering.code, "retryable": rendering.retry_after is not None}
