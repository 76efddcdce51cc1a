"""The rules that a graph follows. They are kept in it, so that every process on it decides alike."""

from identity_graph.domain.rules import Rules
from identity_graph.store.graph import Graph

#: Seconds for what is often the first read of a database that has just started, on a machine that may be busy.
FIRST = 60.0


class OtherRules(Exception):
    """The graph's profiles follow other rules than the ones given."""


def active_rules(graph: Graph, wanted: Rules | None, at: int) -> Rules:
    """The graph's rules; a graph without any takes the ones wanted, else the built-in ones.

    ``at`` is in microseconds since 1970. Raises :class:`OtherRules`: its profiles were decided by other rules, and to
    go on with new ones would leave them wrong.
    """
    kept = graph.read("rules/active", timeout=FIRST)
    if kept:
        rules = Rules.from_json(kept[0][1])
    else:
        rules = wanted or Rules()
        graph.write(lambda tx: tx.do("rules/activate", version=rules.version, text=rules.as_json(), at=at))
    if wanted and wanted.version != rules.version:
        raise OtherRules(
            f"the graph follows the rules {rules.version}, the file has the rules {wanted.version}; "
            "start without the file, or with a graph of its own"
        )
    return rules
