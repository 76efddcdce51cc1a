"""The rules that a graph follows. They are kept in it, so that every process on it decides alike."""

from dataclasses import dataclass

from identity_graph.domain.rules import Rules
from identity_graph.store.graph import UNHURRIED, Graph


class OtherRules(Exception):
    """The graph's profiles follow other rules than the ones given."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The rules that a graph follows. ``settled``: all that is stored was decided by them.

    They came by an ``act`` of the ``actor``, which ``undoes`` an earlier one. The first ones came by none.
    """

    rules: Rules
    settled: bool = True
    act: str | None = None
    actor: str = ""
    reason: str = ""
    undoes: str | None = None


def followed(graph: Graph) -> Followed | None:
    """The rules that the graph follows; None before anything was decided."""
    rows = graph.read("rules/active", timeout=UNHURRIED)
    if not rows:
        return None
    _, text, settled, act, actor, reason, undoes = rows[0]
    return Followed(Rules.from_json(text), settled, act, actor or "", reason or "", undoes)


def superseded(graph: Graph, rules: Rules) -> Rules | None:
    """The rules that took the place of these ones in the graph; None where none did."""
    rows = graph.read("rules/find", version=rules.version)
    if not rows or rows[0][1]:
        return None
    now = followed(graph)
    return now.rules if now else None


def active_rules(graph: Graph, wanted: Rules | None, at: int) -> Rules:
    """The graph's rules; a graph without any takes the ones wanted, else the built-in ones.

    ``at`` is in microseconds since 1970. Raises :class:`OtherRules`: its profiles were decided by other rules, and to
    go on with new ones would leave them wrong.
    """
    kept = followed(graph)
    if kept:
        rules = kept.rules
    else:
        rules = wanted or Rules()
        graph.write(lambda tx: tx.do("rules/begin", version=rules.version, text=rules.as_json(), at=at))
    if wanted and wanted.version != rules.version:
        raise OtherRules(
            f"the graph follows the rules {rules.version}, the file has the rules {wanted.version}; "
            "let it follow them with `identity-graph rules apply FILE`, or start without the file"
        )
    return rules
