"""Golden values on the profiles themselves, kept in the transaction that changes members or records."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from identity_graph.domain.rules import Rules
from identity_graph.domain.survivorship import Traits, golden_values
from identity_graph.domain.traits import properties
from identity_graph.store.graph import Transaction


def refresh_golden(tx: Transaction, profiles: Iterable[str], rules: Rules) -> None:
    """Let profiles show what their records say now. ``profiles`` are elements, which the transaction holds."""
    elements = sorted(profiles)
    if not elements:
        return
    rows: list[list[Any]] = []
    for element, shown, records in tx.one("golden/read", elements=elements):
        wanted: dict[str, Any] = golden_properties(records, rules)
        stale = dict(shown)
        change = {name: value for name, value in wanted.items() if stale.get(name) != value}
        change |= {name: None for name in stale if name not in wanted}
        if change:
            rows.append([element, change])
    if rows:
        tx.do("golden/write", rows=rows)


def golden_properties(records: Iterable[Sequence[Any]], rules: Rules) -> dict[str, Any]:
    """The properties that records amount to; each is its source, moment, traits as JSON text, and key."""
    said = [Traits(source, at, orjson.loads(text), key) for source, at, text, key in records]
    return dict(properties(golden_values(said, rules.traits)))
