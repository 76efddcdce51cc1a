"""Plain ASGI: bodies in within bounds, JSON out, keys checked, requests counted.

The two hot routes do without a framework's request and response objects, which cost more than a look-up does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import orjson

from identity_graph.api.errors import (
    Forbidden,
    NotSupported,
    TooLarge,
    Unauthenticated,
    WrongMediaType,
)
from identity_graph.api.keys import LOCAL, ApiKey, digest

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers: TypeAlias = dict[bytes, bytes]

JSON_TYPE = b"application/json"
_LOOPBACK = (b"localhost", b"127.0.0.1", b"[::1]")


class Disconnected(Exception):
    """The client went away before it had sent its request."""


class Gate:
    """Who may enter. Without keys everybody on this machine may, and nobody else can reach it."""

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self._keys = {key.digest: key for key in keys}

    @property
    def is_open(self) -> bool:
        return not self._keys

    def admit(self, headers: Headers) -> ApiKey:
        if not self._keys:
            # A page on another site can resolve its own name to this machine; its requests keep that name.
            host = headers.get(b"host", b"localhost")
            if (host if host.endswith(b"]") else host.rsplit(b":", 1)[0]) not in _LOOPBACK:
                raise Forbidden("without API keys the service answers only as localhost")
            return LOCAL
        kind, _, text = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not text.strip():
            raise Unauthenticated("send an API key as Authorization: Bearer KEY")
        key = self._keys.get(digest(text.strip().decode("latin-1")))
        if key is None:
            raise Unauthenticated("the API key is not known")
        return key


async def read_body(receive: Receive, headers: Headers, most: int) -> bytes:
    """The whole body. Raises :class:`TooLarge` before it has kept more than ``most`` bytes."""
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced) > most:
        raise TooLarge(f"the body has at most {most} bytes")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise TooLarge(f"the body has at most {most} bytes")
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def read_json(body: bytes, headers: Headers) -> dict[str, Any]:
    """The JSON object of a body."""
    media_type, _, parameters = headers.get(b"content-type", b"").lower().partition(b";")
    if media_type.strip() != JSON_TYPE:
        raise WrongMediaType("the body must be JSON, with Content-Type: application/json")
    charset = parameters.partition(b"charset=")[2].strip(b' "')
    if charset not in (b"", b"utf-8", b"utf8"):
        raise WrongMediaType("the body must be in UTF-8")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise NotSupported(f"the body must be JSON: {e.msg} at byte {e.pos}") from None
    if isinstance(value, list):
        raise NotSupported("one request at a time: the body must be a JSON object, not a list")
    if not isinstance(value, dict):
        raise NotSupported("the body must be a JSON object")
    return value


async def respond(
    send: Send, status: int, body: bytes, media_type: bytes, extra: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def headers_of(scope: Scope) -> Headers:
    return dict(scope["headers"])
