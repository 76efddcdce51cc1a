"""Cypher statements, one a file, with a header that is checked against the text both ways."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

from identity_graph.contracts import contracts

_HEADER = re.compile(r"// (?P<name>[a-z]+): (?P<value>.+)")
_PARAMETER = re.compile(r"\$([a-z_]+)")
_FIELDS = ("name", "summary", "params", "returns", "access", "index")


class StatementError(Exception):
    """A statement file that contradicts its own header."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: ``params`` and ``returns`` map names to Cypher types; ``index`` is what the plan must use."""

    name: str
    summary: str
    params: dict[str, str]
    returns: dict[str, str]
    access: str
    index: str
    text: LiteralString


@cache
def statement(name: str) -> Statement:
    """The statement ``noun/verb``. Raises :class:`StatementError` for one that is missing or inconsistent."""
    path = contracts("cypher") / "statements" / f"{name}.cypher"
    if not path.is_file():
        raise StatementError(f"no statement {name}")
    return _parse(name, path.read_text(encoding="utf-8"))


def all_statements() -> Iterator[Statement]:
    root = contracts("cypher") / "statements"
    for path in sorted(root.rglob("*.cypher")):
        yield statement(str(path.relative_to(root).with_suffix("")).replace("\\", "/"))


def migrations() -> list[tuple[str, str]]:
    """The migrations in order: (file name, text)."""
    folder: Path = contracts("cypher") / "migrations"
    return [(path.name, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("V*__*.cypher"))]


def _parse(name: str, source: str) -> Statement:
    lines = source.splitlines()
    header: dict[str, str] = {}
    body_at = 0
    for body_at, line in enumerate(lines):  # noqa: B007 - the index outlives the loop on purpose
        found = _HEADER.fullmatch(line)
        if not found:
            break
        header[found["name"]] = found["value"]
    if tuple(header) != _FIELDS:
        raise StatementError(f"{name}: the header must have the lines {', '.join(_FIELDS)}, in this order")
    if header["name"] != name:
        raise StatementError(f"{name}: the header calls it {header['name']}")
    if header["access"] not in ("read", "write"):
        raise StatementError(f"{name}: access is read or write")
    text = "\n".join(lines[body_at:]).strip()
    params = _typed(name, header["params"])
    used = set(_PARAMETER.findall(text))
    if used != set(params):
        raise StatementError(f"{name}: parameters {sorted(used ^ set(params))} stand in only one of header and text")
    # The one place where text from a file becomes a query: these files are part of the program, not input.
    return Statement(
        name,
        header["summary"],
        params,
        _typed(name, header["returns"]),
        header["access"],
        header["index"],
        cast(LiteralString, text),
    )


def _typed(name: str, text: str) -> dict[str, str]:
    if text == "none":
        return {}
    pairs = [part.partition(": ") for part in text.split(", ")]
    if any(not kind for _, _, kind in pairs):
        raise StatementError(f"{name}: write 'name: Type', or none")
    return {key: kind for key, _, kind in pairs}
