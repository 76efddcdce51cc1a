"""Retention: what events of a type were is forgotten once they are older than the rules allow."""

import logging
from collections.abc import Callable, Sequence

from identity_graph.domain.events import DAY, EVERY_TYPE
from identity_graph.domain.rules import Rules
from identity_graph.domain.segments import EVENTS
from identity_graph.services.live import active_segments, follow
from identity_graph.services.observe import Clock
from identity_graph.services.periodic import Periodic
from identity_graph.store.errors import StaleRead, StoreError
from identity_graph.store.graph import Graph, Transaction

logger = logging.getLogger(__name__)
#: Seconds between two looks of a service for what is too old: days are kept, so an hour is exact enough.
EVERY = 3_600.0
#: Identifiers that one transaction looks at, and events that it forgets at most: a fraction of a second.
TALLIES, MOST = 1_000, 2_000


def expire(graph: Graph, rules: Rules, at: int, told: Callable[[str, int], None], most: int = MOST) -> dict[str, int]:
    """Forget the events of each type that are older than the rules keep them at the moment ``at``; how many of each.

    Many small transactions: cut off anywhere, the next run does what is left. An event's properties, type and place
    in the journey go, and their people leave or enter segments by what is left. Its observation stays, without them,
    so that the same event sent again does not come back; and the tallies stay, since what somebody has bought in all
    does not become less by forgetting what it was.
    """
    forgotten: dict[str, int] = {}
    for type, days in sorted(rules.retention.items()):
        forgotten[type], after = 0, ""

        def work(tx: Transaction, type: str = type, days: int = days, after: str = "") -> tuple[str | None, int]:
            ((last, many, keys),) = tx.run(
                "event/expire", type=type, before=at - days * DAY, after=after, tallies=TALLIES, limit=most
            )
            if keys:
                _follow(tx, type, keys, rules, at)
            return last, many

        while after is not None:
            (last, many), _ = graph.write(lambda tx, after=after: work(tx, after=after))
            forgotten[type] += many
            told(type, forgotten[type])
            # Where as many went as may, there may be more of the same.
            after = after if many == most else last
    return forgotten


def _follow(tx: Transaction, type: str, keys: Sequence[str], rules: Rules, at: int) -> None:
    """Let the people whose events of a type went leave and enter segments."""
    current = active_segments(tx, rules)
    if current is None:
        return
    homes = sorted(tx.one("event/homes", keys=keys))
    tx.one("profile/lock", elements=homes)
    if sorted(tx.one("event/homes", keys=keys)) != homes:
        raise StaleRead("an identifier moved to another profile between reading and locking")
    facts = (f"{EVENTS}:{type}", f"{EVENTS}:{EVERY_TYPE}")
    follow(tx, dict.fromkeys(homes, facts), current, at)


class _Stopped(Exception):
    """The service ends; its next start goes on."""


class Expiry:
    """Lets a service forget by itself, in a thread of its own. Several services may do so on one graph."""

    def __init__(self, graph: Graph, rules: Rules, clock: Clock, every: float = EVERY) -> None:
        self._graph, self._rules, self._clock = graph, rules, clock
        self._periodic = Periodic("expiry", self._forget, every, first=0.0)

    def start(self) -> None:
        """Look at once and then every hour, until :meth:`close`. Rules that keep all events for ever need no thread."""
        if self._rules.retention:
            self._periodic.start()

    def close(self) -> None:
        """Stop after the transaction that is under way."""
        self._periodic.close()

    def _forget(self) -> None:
        try:
            forgotten = expire(self._graph, self._rules, self._clock(), self._go_on)
        except _Stopped:
            return
        except StoreError as e:
            logger.warning("events that are too old are not forgotten for now: %s", e)
            return
        for type, many in forgotten.items():
            if many:
                logger.info("%d events of type %s were older than they are kept, and forgotten", many, type)

    def _go_on(self, _type: str, _many: int) -> None:
        if self._periodic.ends:
            raise _Stopped
