"""The review queue: what the model proposes, and what a person decides of it."""

from dataclasses import dataclass
from typing import Any

from identity_graph.domain.decision import BLOCKED, SHARED, Change
from identity_graph.domain.evidence import CannotLink, Key, Refusal, RefusalCode
from identity_graph.domain.matches import ProposalStatus
from identity_graph.domain.partition import Holding, refused_by_ends
from identity_graph.domain.rules import Rules
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import Freshness
from identity_graph.services.observe import Clock, from_text, new_id
from identity_graph.services.stewardship import Act
from identity_graph.store.graph import Graph, Transaction

#: Before the first proposal: weights are bits, and none is so sure.
TOP = (1e9, "")
#: Open proposals that are told of two profiles.
MOST_BETWEEN = 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """A matched link that a person may decide; its id is the link's.

    ``profiles`` are those of its ends, one where they are in the same. ``blocked_by`` is the guard rail that a merge of
    them would break.
    """

    id: str
    status: ProposalStatus
    weight: float
    profiles: tuple[str, ...]
    blocked_by: Refusal | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did; ``ends`` are the identifiers that the proposal is about."""

    id: str
    status: ProposalStatus
    ends: tuple[Key, Key]
    changes: tuple[Change, ...]


class Proposals:
    """Reads and decides proposals."""

    def __init__(self, graph: Graph, rules: Rules, clock: Clock) -> None:
        self._graph, self._rules, self._clock = graph, rules, clock

    def page(
        self, status: ProposalStatus, first: int, after: tuple[float, str] | None, fresh: Freshness
    ) -> tuple[list[Proposal], bool, int]:
        """Proposals of a status, the surest first; whether more follow, and how many there are in all.

        ``after`` is the weight and the id of the one before the page.
        """
        weight, id = after or TOP
        ((total, rows),) = self._graph.read(
            "proposal/page", token=fresh.token, status=status.value, weight=weight, id=id, limit=first + 1
        )
        return [self._proposal(*row) for row in rows[:first]], len(rows) > first, total

    def between(self, one: str, other: str, fresh: Freshness) -> list[Proposal]:
        """The open proposals between two profiles, the surest first; at most :data:`MOST_BETWEEN`."""
        ((rows,),) = self._graph.read("proposal/between", token=fresh.token, one=one, other=other, limit=MOST_BETWEEN)
        return [self._proposal(*row) for row in rows]

    def _proposal(self, id: str, status: str, weight: float, a: Key, b: Key, *row: Any) -> Proposal:
        of_a, of_b, one, one_size, one_limited, other, other_size, other_limited, apart = row
        states = {a: of_a, b: of_b}
        profiles = tuple(dict.fromkeys((one, other)))
        shared, blocked = ({key for key, state in states.items() if state == idle} for idle in (SHARED, BLOCKED))
        refusal = refused_by_ends(a, b, blocked, shared)
        if apart:
            refusal = Refusal(RefusalCode.CANNOT_LINK, (a, b))
        elif not refusal and len(profiles) > 1:
            holding = Holding.of(from_text(one_limited), self._rules, one_size)
            refusal = holding.refuses(Holding.of(from_text(other_limited), self._rules, other_size), self._rules)
        return Proposal(id, ProposalStatus(status), weight, profiles, refusal)

    def decide(
        self, id: str, decision: ProposalStatus, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Decided, str]:
        """Merge or keep apart the two people of an open proposal; also a consistency token, empty after a dry run.

        Raises :class:`Declined`, and a :class:`StoreError`.
        """

        def work(tx: Transaction) -> Decided:
            return _decide(Act(tx, self._rules, self._clock, actor, reason), id, decision)

        return self._graph.write(work, dry_run=dry_run)


def _decide(act: Act, id: str, decision: ProposalStatus) -> Decided:
    a, b = _open(act.tx, id)

    def still_open() -> bool:
        return _open(act.tx, id) == (a, b)

    if decision is ProposalStatus.MERGED:
        written = act.join([(a, b)], still_open)
    else:
        written = act.keep_apart([CannotLink(new_id(), frozenset((a,)), frozenset((b,)))], still_so=still_open)
    return Decided(id, decision, (a, b), tuple(written.plan.changes))


def _open(tx: Transaction, id: str) -> tuple[Key, Key]:
    rows = tx.run("proposal/find", id=id)
    if not rows:
        raise Declined("UNKNOWN_PROPOSAL", f"There is no proposal {id}; it may have been withdrawn.")
    _, status, a, b = rows[0]
    if status != ProposalStatus.OPEN:
        raise Declined("ALREADY_DECIDED", f"The proposal {id} was decided before: {status}.")
    return a, b
