"""API keys: who may do what. Only their SHA-256 is kept, which is enough for a key of 256 random bits."""

import secrets
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

PREFIX = "ig_"


class Scope(StrEnum):
    """What a key opens: reading profiles with all that is known of them, submitting observations, seeing personal
    values whole in what is found by searching, or everything and the schema besides. The catalogue of traits shows
    nobody a value."""

    READ = "read"
    WRITE = "write"
    PII = "pii"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's name, what it opens, and the SHA-256 of its text in hexadecimal."""

    name: str
    scopes: frozenset[Scope]
    digest: str

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def __str__(self) -> str:
        return f"{self.name}:{'+'.join(sorted(self.scopes))}:{self.digest}"


#: Whoever can reach a service without keys, which listens on this machine only.
LOCAL = ApiKey("local", frozenset(Scope), "")


def new_key(name: str, scopes: frozenset[Scope]) -> tuple[str, ApiKey]:
    """A key's text, to be shown once, and what is kept of it."""
    text = PREFIX + secrets.token_urlsafe(32)
    return text, ApiKey(name, scopes, digest(text))


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Keys written ``name:scope+scope:sha256``, separated by commas or white space.

    Raises ``ValueError`` with a sentence that quotes no digest.
    """
    keys = tuple(_parse(part) for part in text.replace(",", " ").split())
    names = [key.name for key in keys]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two API keys have the name {min(twice)}")
    return keys


def _parse(text: str) -> ApiKey:
    parts = text.split(":")
    if len(parts) != 3 or not all(parts):
        raise ValueError("an API key is written name:scope+scope:sha256, as `identity-graph keys new` prints it")
    name, scopes, hashed = parts
    known = {scope.value for scope in Scope}
    if unknown := set(scopes.split("+")) - known:
        raise ValueError(f"API key {name}: {min(unknown)} is no scope; there are {', '.join(sorted(known))}")
    if len(hashed) != 64 or set(hashed.lower()) - set("0123456789abcdef"):
        raise ValueError(f"API key {name}: the last part must be the SHA-256 of the key, 64 hexadecimal digits")
    return ApiKey(name, frozenset(map(Scope, scopes.split("+"))), hashed.lower())
