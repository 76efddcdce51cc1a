"""The review queue: what the model proposes, and what a person decides of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from identity_graph.domain.decision import BLOCKED, SHARED, Change, Claim, Stated
from identity_graph.domain.evidence import Key, LinkKind, Refusal, RefusalCode, link_id
from identity_graph.domain.matches import ProposalStatus
from identity_graph.domain.partition import Holding, refused_by_ends
from identity_graph.domain.rules import Rules
from identity_graph.services.lookup import Freshness
from identity_graph.services.observe import Cause, Clock, Written, from_text, new_id, state
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import Graph, Transaction

#: Before the first proposal: weights are bits, and none is so sure.
TOP = (1e9, "")


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


class NotDecided(Exception):
    """A decision that cannot be taken; ``code`` is machine-readable, the message is for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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

        Raises :class:`NotDecided`, and a :class:`StoreError`.
        """

        def work(tx: Transaction) -> Decided:
            return _Deciding(tx, self._rules, self._clock, Cause("STEWARD", actor, reason)).decide(id, decision)

        return self._graph.write(work, dry_run=dry_run)


class _Deciding:
    """One decision in its transaction."""

    def __init__(self, tx: Transaction, rules: Rules, clock: Clock, cause: Cause) -> None:
        self.tx, self.rules, self.clock, self.cause = tx, rules, clock, cause

    def decide(self, id: str, decision: ProposalStatus) -> Decided:
        a, b = self._open(id)
        write: Callable[[Key, Key], Written] = self._merge if decision is ProposalStatus.MERGED else self._keep_apart
        self.id = id
        written = write(a, b)
        self.tx.do("proposal/decide", id=id, status=decision.value)
        return Decided(id, decision, (a, b), tuple(written.plan.changes))

    def _open(self, id: str) -> tuple[Key, Key]:
        rows = self.tx.run("proposal/find", id=id)
        if not rows:
            raise NotDecided("UNKNOWN_PROPOSAL", f"There is no proposal {id}; it may have been withdrawn.")
        _, status, a, b = rows[0]
        if status != ProposalStatus.OPEN:
            raise NotDecided("ALREADY_DECIDED", f"The proposal {id} was decided before: {status}.")
        return a, b

    def _state(self, stated: Stated) -> Written:
        written = state(self.tx, stated, self.rules, self.clock, self._still_open, self.cause)
        if written is None:
            raise StaleRead("the proposal changed")
        return written

    def _still_open(self) -> bool:
        self._open(self.id)
        return True

    def _merge(self, a: Key, b: Key) -> Written:
        link, at, actor = link_id(a, b, LinkKind.ASSERTED, ""), self.clock(), self.cause.actor or ""
        written = self._state(Stated((Claim(link, a, b, actor, at, at, 1, None, None, LinkKind.ASSERTED),)))
        # A person's word comes before what was observed, so a guard rail would break a profile up instead.
        broken = (refusal for _, refusal in written.plan.judged if refusal)
        if refusal := written.plan.refused.get(link) or next(broken, None):
            raise NotDecided(refusal.code, refusal.message)
        existing = dict(self.tx.one("link/find", ids=[link]))
        if link in existing:
            self.tx.do("link/reassert", rows=[[existing[link], actor, self.cause.reason]], at=written.at)
        else:
            ends = [written.element[a], written.element[b]]
            self.tx.do("link/assert", rows=[[*ends, link, actor, self.cause.reason]], at=written.at)
        return written

    def _keep_apart(self, a: Key, b: Key) -> Written:
        written = self._state(Stated(apart=(frozenset((a, b)),)))
        row = [written.element[a], written.element[b], new_id(), self.cause.actor, self.cause.reason]
        self.tx.do("cannot_link/create", rows=[row], at=written.at)
        return written
