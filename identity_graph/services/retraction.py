"""Observations taken back: one, those of a source, or those that support a link; and brought back.

What is left is as if they had never been made, which is decided by the write protocol like everything else. They stay
in the graph, marked, so that the same observation arriving again is refused, and so that the act can be undone.
Bringing them back is making them anew.

Neither is quick: no index tells which observations support an identifier, as each observation would pay for it. So an
act looks at all observations there are, about two seconds for a million, while it holds those it is about.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from identity_graph.domain.assignment import standing
from identity_graph.domain.decision import (
    BLOCKED,
    NOTHING_STATED,
    SHARED,
    VERDICTS,
    Change,
    Plan,
    ProfileRef,
    RefusedLink,
    Stated,
)
from identity_graph.domain.events import Event
from identity_graph.domain.evidence import Key, Observation, observation
from identity_graph.domain.identifiers import Identifier, split_key
from identity_graph.domain.intake import Rejection
from identity_graph.domain.matches import StoredMatch, differences
from identity_graph.domain.partition import is_crowded, proof_of_sharing
from identity_graph.domain.retraction import Remains, Said, remains
from identity_graph.domain.rules import RECORD_NAMESPACE, Rules
from identity_graph.services.observe import (
    RETRACTED_RESULT,
    UNMATCHED,
    Beside,
    Cause,
    Clock,
    Prepare,
    Row,
    as_text,
    from_text,
    new_id,
    observe,
    state,
    tally_key,
)
from identity_graph.services.profiles import ChangeRow
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import Transaction

RETRACTED, RESTORED = "RETRACTED", "RESTORED"
#: Refused links that are told of an act.
MOST_HELD_BACK = 20

#: One of the profiles that an act was about, as it is now (None: it was of junk values); all changes; and links that
#: are refused by it.
Outcome = tuple[ProfileRef | None, tuple[Change, ...], tuple[RefusedLink, ...]]


@dataclass(frozen=True, slots=True)
class _Held:
    """An identifier that the transaction holds; ``named``: a person's word is about it, so it stays."""

    element: str
    state: str
    sources: str
    profile: str | None
    named: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A record that loses rows: the digests taken back, and that of the row which is the newest now, if any is left.

    ``changed``: that is another one, so what a model said of the record does not hold any more.
    """

    key: str
    anchor: Key
    digests: list[str]
    next: str | None
    changed: bool


def hold_observations(tx: Transaction, ids: Sequence[str]) -> list[Row]:
    """Rows of ``retraction/find``, which nobody else takes back or brings back before the commit.

    Raises :class:`StaleRead`.
    """
    rows: list[Row] = tx.one("retraction/find", ids=sorted(set(ids)))
    if any(row[0] is None for row in rows):
        raise StaleRead("an observation was made anew while this waited for it")
    return rows


def judged_to_refuse(tx: Transaction, plan: Plan) -> tuple[RefusedLink, ...]:
    """Stored links that a written plan refuses, or refuses for another reason, by id; the first of them."""
    refused = {id: refusal for id, refusal in plan.judged if refusal}
    rows = tx.one("link/details", ids=sorted(refused)[:MOST_HELD_BACK]) if refused else []
    return tuple(RefusedLink(row[1], row[2], refused[row[0]]) for row in rows)


class Retracting:
    """One act of retracting or restoring, in its transaction."""

    def __init__(self, tx: Transaction, rules: Rules, clock: Clock, cause: Cause) -> None:
        self.tx, self.rules, self.clock, self.cause = tx, rules, clock, cause

    def retract(self, rows: Sequence[Row], before: Stated = NOTHING_STATED) -> Outcome:
        """Take observations back, which are rows of ``retraction/find`` that stand. ``before`` is whose profiles were
        whose, where an act is undone.

        Raises :class:`StaleRead`.
        """
        tx = self.tx
        taken = [_said(row) for row in rows]
        keys = sorted({key for said in taken for key in said.keys})
        held = self._hold(keys)
        found = tx.one("retraction/rest", keys=dict.fromkeys(keys, True), **{"except": {s.id: True for s in taken}})
        rest = [_said(row) for row in found]
        left = remains(taken, rest, self.rules)
        gone = frozenset(key for key in left.unseen if not held[key].named)
        reopened = self._reopen(held, left)
        records = self._records(taken, {said.digest for said in rest})
        tallies = _tallies(rows)

        def write(at: int) -> None:
            self._forget_rows(records, at)
            tx.do("retraction/observations", ids=[s.id for s in taken], act=self.cause.act, result=RETRACTED_RESULT)
            if tallies:
                tx.do("retraction/tallies", rows=tallies)
            self._remember(held, left, reopened, at)
            self._see_less(held, left, gone, at)

        matched = {
            row[0]: StoredMatch(*row) for row in tx.one("match/stored", keys=[r.key for r in records if r.changed])
        }
        unmatched, _ = differences({}, matched, self.clock())
        again = frozenset(key for key in keys if held[key].state != BLOCKED) - gone
        withdrawn = (*left.withdrawn, *unmatched.withdrawn)
        stated = replace(before, claims=left.corrected, withdrawn=withdrawn, again=again, gone=gone)
        happened = [(row[1], row[2]) for row in tallies if row[1] not in gone]
        beside = Beside([r.anchor for r in records], happened, write)
        written = state(tx, stated, self.rules, self.clock, lambda: True, self.cause, beside)
        if written is None:
            raise StaleRead("what is retracted changed")
        corrected = [[c.id, c.first_seen, c.last_seen, c.count] for c in left.corrected]
        tx.do("retraction/links", rows=corrected, withdrawn=[c.id for c in left.withdrawn])
        if unmatched.withdrawn:
            tx.do("match/withdraw", ids=[c.id for c in unmatched.withdrawn], at=written.at)
        if gone:
            tx.do("retraction/forget", elements=[held[key].element for key in sorted(gone)])
        parties = {known.profile for known in held.values() if known.profile}
        parties |= {written.element[id] for key, id in written.home.items() if key in keys}
        held_back = judged_to_refuse(tx, written.plan)
        return *self._tell(RETRACTED, sorted(gone), sorted(parties), written.at), held_back

    def restore(self, ids: Sequence[str], before: Stated, prepare: Prepare | None) -> Outcome:
        """Bring back what an act took back. ``before`` is whose profiles were whose.

        Raises :class:`StaleRead`.
        """
        tx, at = self.tx, self.clock()
        rows = hold_observations(tx, ids)
        batch, records = self._content(rows)
        act = {row[5] for row in rows}
        revived: list[Row] = []
        for one in sorted(act):
            for element, members in tx.one("retraction/erased", act=one):
                key, _, identifier = min(members, key=lambda m: standing(m[0], m[1], self.rules))
                limited = key if self.rules.counted_with(key) else None
                revived.append([element, identifier, limited])
        if revived:
            tx.do("retraction/revive", rows=revived, at=at)
        tx.do("retraction/again", ids=ids, records=records)
        answers = observe(tx, batch, self.rules, self.clock, prepare, self.cause, before)
        refused: dict[tuple[Key, Key], RefusedLink] = {}
        for answer in answers:
            if isinstance(answer, Rejection):
                raise StaleRead(answer.message)
            refused.update(((link.a, link.b), link) for link in answer.refused)
        tx.do("retraction/restored", ids=ids, act=self.cause.act)
        keys = sorted({i.key for o in batch for i in o.identifiers})
        parties = {known.profile for known in self._hold(keys).values() if known.profile}
        held_back = tuple(refused.values())[:MOST_HELD_BACK]
        return *self._tell(RESTORED, [], sorted(parties), self.clock()), held_back

    # ------------------------------------------------------------------------------------------------------- reading

    def _hold(self, keys: Sequence[Key]) -> dict[Key, _Held]:
        """Hold identifiers with their profiles."""

        def read() -> dict[Key, _Held]:
            found = self.tx.one("retraction/hold", keys=keys)
            return {key: _Held(*more) for key, *more in found}

        before = read()
        profiles = sorted({known.profile for known in before.values() if known.profile})
        self.tx.one("profile/lock", elements=profiles)
        if read() != before or before.keys() != set(keys):
            raise StaleRead("a profile changed between reading and locking")
        return before

    def _content(self, rows: Sequence[Row]) -> tuple[list[Observation], list[list[str]]]:
        """Observations as they were made, from rows of ``retraction/find``, and the rows of records among them."""
        asked = [[row[0], _record_keys(row[2], row[4]), row[4]] for row in rows]
        content = {row[0]: row[1:] for row in self.tx.one("retraction/content", rows=asked)}
        batch: list[Observation] = []
        records: list[list[str]] = []
        for id, digest, source, at, keys, *_ in rows:
            event, by, said, raw = content[id]
            as_submitted = dict(raw)
            identifiers: list[Identifier] = []
            for key in keys:
                namespace, value = split_key(key)
                junk = self.rules.is_blocked_key(key)
                identifiers.append(Identifier(namespace, value, as_submitted.get(key, value), key, junk))
            record_id, traits = said or (None, None)
            own = f"{RECORD_NAMESPACE}:{source}/"
            if record_id is None and by and by.startswith(own):
                # Without traits it is only told by what the event was by.
                record_id = by.removeprefix(own)
            told = Event(*event) if event else None
            made = observation(
                id,
                source,
                at,
                identifiers,
                digest,
                self.rules,
                record_id,
                orjson.loads(traits) if traits else None,
                told,
            )
            batch.append(made)
            if made.record_key and said:
                records.append([made.record_key, digest])
        return batch, records

    def _records(self, taken: Sequence[Said], still: Iterable[str]) -> list[_Row]:
        """The records that lose rows. A row that another observation repeats stands."""
        digests = {said.digest for said in taken}.difference(still)
        keys = sorted({key for said in taken for key in _record_keys(said.source, said.keys)})
        found: list[_Row] = []
        for key, anchor, newest, versions in self.tx.one("retraction/rows", keys=keys):
            lost = sorted({newest, *(digest for digest, _ in versions)} & digests)
            if lost:
                left = [(at, digest) for digest, at in versions if digest not in digests]
                next = newest if newest not in digests else max(left)[1] if left else None
                found.append(_Row(key, anchor, lost, next, next != newest))
        return found

    # ------------------------------------------------------------------------------------------------------- writing

    def _reopen(self, held: Mapping[Key, _Held], left: Remains) -> set[Key]:
        """Let identifiers be somebody's own that are shared no more; which."""
        opened = {
            key: partners
            for key, partners in left.partners.items()
            if held[key].state == SHARED and not is_crowded(key, partners, self.rules)
        }
        if opened:
            rows = [[held[key].element, as_text(partners)] for key, partners in opened.items()]
            self.tx.do("retraction/reopen", rows=rows)
        return set(opened)

    def _remember(self, held: Mapping[Key, _Held], left: Remains, reopened: Collection[Key], at: int) -> None:
        """For the past, what other state or sources identifiers had until now."""
        fewer = {key for key, sight in left.seen.items() if set(from_text(held[key].sources)) != set(sight.sources)}
        other = sorted(fewer | left.unseen | set(reopened))
        if other:
            rows = [[held[key].element, held[key].state, held[key].sources] for key in other]
            self.tx.do("identifier/remember", rows=rows, at=at)

    def _see_less(self, held: Mapping[Key, _Held], left: Remains, gone: frozenset[Key], at: int) -> None:
        rows: list[Row] = []
        for key, sight in left.seen.items():
            partners = left.partners[key]
            if is_crowded(key, partners, self.rules):
                partners = proof_of_sharing(key, partners, self.rules)
            rows.append(
                [held[key].element, sight.first_seen, sight.last_seen, as_text(sight.sources), as_text(partners)]
            )
        self.tx.do("retraction/identifiers", rows=rows, at=at)
        unsaid = [held[key].element for key in sorted(left.unseen - gone)]
        if unsaid:
            self.tx.do("retraction/unsaid", elements=unsaid)

    def _forget_rows(self, records: Sequence[_Row], at: int) -> None:
        if records:
            rows = [[r.key, r.digests, r.next] for r in records]
            crowds = self.tx.one("retraction/records", rows=rows, act=self.cause.act, at=at)
            self.tx.do("crowd/left", values=crowds, unmatched=UNMATCHED, again=at)

    def _tell(
        self, kind: str, moved: list[Key], parties: Sequence[str], at: int
    ) -> tuple[ProfileRef | None, tuple[Change, ...]]:
        """Write the act's own change; the first of the parties as it is now, and all changes of the act."""
        tx, by = self.tx, self.cause
        row = [new_id(), kind, None, None, moved, [[element, "PARTY"] for element in parties]]
        said = {"cause": by.kind, "act": by.act, "actor": by.actor, "reason": by.reason, "rules": self.rules.version}
        tx.do("change/create", rows=[row], at=at, **said)
        rows = [ChangeRow.of(row) for row in tx.one("lineage/changes", ids=tx.one("change/of_act", act=by.act))]
        changes = [
            Change(row.id, row.kind, row.link, row.observation, tuple(row.moved), tuple(row.parties))
            for row in rows
            if row.kind not in VERDICTS
        ]
        held = [ProfileRef(row[1], row[3], row[4]) for row in tx.one("profile/lock", elements=parties[:1])]
        return next(iter(held), None), tuple(sorted(changes, key=lambda change: change.id))


def _said(row: Row) -> Said:
    id, digest, source, at, keys = row[:5]
    return Said(id, digest, source, at, tuple(sorted(keys)))


def _record_keys(source: str, keys: Iterable[Key]) -> list[str]:
    """What the record of an observation may be called, see :attr:`Observation.record_key`."""
    own = f"{RECORD_NAMESPACE}:{source}/"
    return [
        name
        for key in keys
        for name in (f"{source}#{key}", key.removeprefix(f"{RECORD_NAMESPACE}:"))
        if name != key or key.startswith(own)
    ]


def _tallies(rows: Iterable[Row]) -> list[Row]:
    """Rows of ``retraction/tallies`` for the events among rows of ``retraction/find``."""
    counted: dict[tuple[Key, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for _, _, source, _, _, _, event in rows:
        if event:
            by, type, amount = event
            one = counted[by, type, source]
            one[0] += 1
            one[1] += amount
    return [[tally_key(*place), *place, count, amount] for place, (count, amount) in sorted(counted.items())]
