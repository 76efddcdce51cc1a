"""Retention: what events of a type were is forgotten once they are older than the rules allow."""

from collections.abc import Callable, Mapping

from identity_graph.domain.intake import DAY
from identity_graph.store.graph import Graph

#: Identifiers that one transaction looks at, and events that it forgets at most: a fraction of a second.
TALLIES, EVENTS = 1_000, 2_000


def expire(
    graph: Graph, retention: Mapping[str, int], at: int, told: Callable[[str, int], None], most: int = EVENTS
) -> dict[str, int]:
    """Forget the events of each type that are older than so many days at the moment ``at``; how many of each.

    Many small transactions: cut off anywhere, the next run does what is left. An event's properties, type and place
    in the journey go. Its observation stays, without them, so that the same event sent again does not come back; and
    the tallies stay, since what somebody has bought in all does not become less by forgetting what it was.
    """
    forgotten: dict[str, int] = {}
    for type, days in sorted(retention.items()):
        forgotten[type], after = 0, ""
        while after is not None:
            params = {"type": type, "before": at - days * DAY, "after": after, "tallies": TALLIES, "limit": most}
            (((last, many),), _) = graph.write(lambda tx, params=params: tx.run("event/expire", **params))
            forgotten[type] += many
            told(type, forgotten[type])
            # Where as many went as may, there may be more of the same.
            after = after if many == most else last
    return forgotten
