"""Golden values on the profiles themselves, kept in the transaction that changes members or records."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from identity_graph.domain.rules import Rules
from identity_graph.domain.survivorship import Traits, golden_values
from identity_graph.domain.traits import properties
from identity_graph.services.catalogue import NOTHING_KNOWN, Catalogue
from identity_graph.store.graph import Transaction


def refresh_golden(
    tx: Transaction, profiles: Iterable[Sequence[Any]], rules: Rules, catalogue: Catalogue
) -> dict[str, set[str]]:
    """Let profiles, which the transaction holds, show what their records say now; the names of what changed of each.

    Each profile is its element, the properties that it shows, and its records as for :func:`golden_properties`.
    """
    rows: list[list[Any]] = []
    for element, shown, records in profiles:
        wanted = golden_properties(records, rules, catalogue)
        stale = dict(shown)
        change = {name: value for name, value in wanted.items() if not same(stale.get(name), value)}
        change |= {name: None for name in stale if name not in wanted}
        if change:
            rows.append([element, change])
    if rows:
        tx.do("golden/write", rows=rows)
    return {element: set(change) for element, change in rows}


def same(one: Any, other: Any) -> bool:
    """Whether two properties are equal. True and 1 are so in Python only; the values of a list are of one type."""
    if isinstance(one, list) and isinstance(other, list):
        return one == other and isinstance(one[0], bool) is isinstance(other[0], bool)
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def golden_properties(
    records: Iterable[Sequence[Any]], rules: Rules, catalogue: Catalogue = NOTHING_KNOWN
) -> dict[str, Any]:
    """The properties that records amount to; each is its source, moment, traits as JSON text, key, and reason.

    Where a source has more names of traits than the catalogue takes, only those in it are shown.
    """
    said = [Traits(source, at, orjson.loads(text), key, reason) for source, at, text, key, reason in records]
    found = properties(golden_values(said, rules.traits, rules.default_region))
    if catalogue.full:
        return {name: value for name, value in found.items() if name.partition(":")[2] in catalogue.types}
    return dict(found)
