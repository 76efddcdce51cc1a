"""Matching in the service: each record that was written is compared with those that share a blocking value with it.

It is a second step. The transaction that writes a record also writes its blocking values and marks it as unmatched;
after the commit another transaction compares it, writes what changed of its matched links by the write protocol, and
takes the mark away. So of two records that are written at once, whoever commits last sees the other, and what a crash
leaves between both steps is still marked.

A pair's link rests on two rows. Both records are held when it is written, and where one changed meanwhile the
comparison is done again. Without an active model nothing is compared or written.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from identity_graph.domain.evidence import Observation
from identity_graph.domain.matches import (
    PROPOSED,
    Anchored,
    Match,
    ProposalStatus,
    StoredMatch,
    UnusableModel,
    differences,
    match,
)
from identity_graph.domain.rules import Rules
from identity_graph.services.observe import UNMATCHED, Clock, Prepare, Row, Written, state, verdict
from identity_graph.store.errors import Conflict, StaleRead, StoreError
from identity_graph.store.graph import LONGEST_WRITE, WRITE_TIMEOUT, Graph, Transaction, join_tokens

if TYPE_CHECKING:
    # Imported when a model is active: it takes a second to load.
    from identity_graph.matcher.compiled import Compiled

logger = logging.getLogger("identity_graph.matching")

#: Records of one transaction.
BATCH = 250
#: Such transactions at a time.
AT_ONCE = 2
#: Seconds after which is looked again which model is active.
REFRESH = 5.0
#: Seconds after which no service writes a record any more without having noticed another model.
NOTICED = REFRESH + LONGEST_WRITE
#: Microseconds by which the clocks of two processes may differ.
SKEW = 10_000_000
#: Comparisons of the same records, where others keep changing them.
ATTEMPTS = 5
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as the graph knows it. Times in microseconds since 1970; ``text`` says what its thresholds promise."""

    version: str
    trained_at: int
    activated_at: int | None
    active: bool
    text: str


@dataclass(slots=True)
class Compared:
    """What a model says of some records: ``rows`` are their digests and those of the records that they match.

    ``unread`` were prepared for no model or for another. ``crowds`` are the blocking values that each record shares
    with too many; ``reached`` those that this was not known of, ``left`` those that records have no more.
    """

    rows: dict[str, str] = field(default_factory=dict[str, str])
    own: dict[str, str] = field(default_factory=dict[str, str])
    wanted: dict[str, Match] = field(default_factory=dict[str, Match])
    stored: dict[str, StoredMatch] = field(default_factory=dict[str, StoredMatch])
    unread: list[str] = field(default_factory=list[str])
    crowds: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    reached: set[int] = field(default_factory=set[int])
    left: set[int] = field(default_factory=set[int])


class Matching:
    """Keeps the matched links of a graph's records what its active model says. Shared by threads."""

    def __init__(self, graph: Graph, rules: Rules, models: Path, clock: Clock) -> None:
        """``models`` is the folder with a folder for each model, by its version."""
        self.graph, self.rules, self.models, self.clock = graph, rules, models, clock
        self.behind = True
        self._guard, self._told = threading.Lock(), ""
        self._model: Compiled | None = None
        self._looked = NEVER

    def active(self) -> "Compiled | None":
        """The model that matches now.

        Raises :class:`UnusableModel` where its folder is not here. If that happens later on, writing goes on without
        matching, which the log tells.
        """
        with self._guard:
            if time.monotonic() - self._looked > REFRESH:
                rows = self.graph.read("model/active")
                try:
                    self._take(rows[0][0] if rows else None)
                except UnusableModel as e:
                    self._model = None
                    if self._looked == NEVER:
                        raise
                    logger.error("nothing is matched any more: %s; then activate it once more", e)
                self._looked = time.monotonic()
            return self._model

    def _take(self, version: str | None) -> None:
        if version is None:
            self._model = None
        elif self._model is None or self._model.version != version:
            from identity_graph.matcher.compiled import Compiled

            self._model = Compiled.load(self.models, version)
            self.behind = True

    def look_again(self) -> None:
        """Another model may have become active."""
        self._looked = NEVER

    def after(self, batch: Sequence[Observation]) -> str:
        """Match the records that were just written; a consistency token. What fails is left for :meth:`catch_up`."""
        model = self._model
        keys = sorted({o.record_key for o in batch if o.traits is not None and o.record_key and o.anchor})
        if model is None or not keys:
            return ""
        try:
            return self._match_all(model, keys)
        except StoreError as e:
            logger.warning("matching was put off: %s", e)
            self.behind = True
            return ""

    def catch_up(self) -> bool:
        """Match some of what a crash or a failure left; whether there may be more."""
        model = self.active()
        if model is None or not self.behind:
            return False
        self.behind = self.sweep(model) > 0
        return self.behind

    def sweep(self, model: "Compiled", unmatched: int = UNMATCHED, since: int | None = None) -> int:
        """Match a batch of what is marked as unmatched; how many records.

        While a model is activated, each is compared with those that still wait: the others were compared with it. Not
        so those that were written meanwhile, ``since`` a moment (microseconds since 1970), by which the model had not
        read them all.
        """
        ((keys,),) = self.graph.read("record/unmatched", unmatched=unmatched, limit=AT_ONCE * BATCH)
        if keys:
            self._match_all(model, keys, since)
        return len(keys)

    def _match_all(self, model: "Compiled", keys: Sequence[str], since: int | None = None) -> str:
        """In batches, some at once: while one is compared here, the database reads or writes for another."""
        batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
        if len(batches) == 1:
            return self.match(model, keys, since)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            running = [pool.submit(self.match, model, some, since) for some in batches]
            return join_tokens([done.result() for done in running])

    def match(self, model: "Compiled", keys: Sequence[str], since: int | None = None) -> str:
        """Compare some records and write what changed; a consistency token.

        Raises a :class:`StoreError`: what was not written stays marked.
        """
        for _ in range(ATTEMPTS):
            compared = self.compare(model, keys, since)
            if compared.unread:
                self.prepare(model, compared.unread)
                continue
            if compared.crowds and self._told != model.version:
                # Once, as they stay so.
                self._told = model.version
                most = model.block_cap
                logger.warning("blocking values that more than %d records share are left out of the comparison", most)
            token = self._settle(model, compared)
            if token is not None:
                return token
        raise Conflict("the same records kept changing; they are matched later")

    def compare(self, model: "Compiled", keys: Sequence[str], since: int | None) -> Compared:
        """What the model says of records, and what their matched links say so far.

        ``since``: only of pairs with records that wait too or were written since; links that this model made stay.
        """
        ((rows, stored),) = self.graph.read(
            "record/candidates",
            timeout=WRITE_TIMEOUT,
            keys=list(keys),
            model=model.version,
            most=model.block_cap + 1,
            since=since,
            across=model.across,
        )
        found = Compared(stored={row[0]: StoredMatch(*row) for row in stored})
        found.own = {row[0]: row[1] for row in rows}
        found.unread = sorted(set(keys) - found.own.keys())
        known = {row[0]: orjson.loads(row[2]) for row in rows}
        seen: set[tuple[str, str]] = set()
        for key, _, _, anchor, candidates, crowds, reached, left in rows:
            if crowds:
                found.crowds[key] = crowds
            found.reached.update(reached)
            found.left.update(left)
            for other, digest, fields, held_by in candidates:
                pair = (key, other) if key < other else (other, key)
                if pair in seen:
                    continue
                seen.add(pair)
                if other not in known:
                    known[other] = orjson.loads(fields)
                evidence = model.worth_review(known[pair[0]], known[pair[1]])
                made = evidence and match(Anchored(key, anchor), Anchored(other, held_by), evidence, model.auto)
                if made:
                    found.wanted[made.id] = made
                    found.rows[other] = digest
        if since is not None:
            # That a pair is not wanted here says nothing where it was not compared.
            found.stored = {id: m for id, m in found.stored.items() if id in found.wanted or m.version != model.version}
        found.rows |= found.own
        return found

    def withdraw(self, keys: Sequence[str]) -> None:
        """Take all matched links of records back, and forget what any model read of them."""

        def work(tx: Transaction) -> None:
            stored = {row[0]: StoredMatch(*row) for row in tx.one("match/stored", keys=list(keys))}
            stated, _ = differences({}, stored, self.clock())
            if stated.keys:
                written = state(tx, stated, self.rules, self.clock, lambda: True)
                if written is None:
                    raise StaleRead("records were forgotten meanwhile")
                tx.do("match/withdraw", ids=[claim.id for claim in stated.withdrawn], at=written.at)
            tx.do("record/forget", keys=list(keys))

        self.graph.write(work)

    def prepare(self, model: "Compiled", keys: Sequence[str], unmatched: int = UNMATCHED) -> None:
        """Let a model read records that were written for none, or for another."""
        ((rows,),) = self.graph.read("record/fields", keys=list(keys))
        prepared = prepared_rows(model, rows)
        self.graph.write(lambda tx: tx.do("record/prepare", rows=prepared, model=model.version, unmatched=unmatched))

    def preparing(self, model: "Compiled") -> Prepare:
        """What a batch's transaction writes beside the records, for a model."""

        def prepare(o: Observation) -> tuple[str, str, list[int | None]]:
            fields = model.fields(o.traits or {})
            return orjson.dumps(fields).decode(), model.version, model.blocks(fields)

        return prepare

    def _settle(self, model: "Compiled", found: Compared) -> str | None:
        """Write what a comparison found; a consistency token. None where a row that was compared is another by now.

        Where a blocking value has passed the cap, or has come back under it, all who have it are compared again: which
        pairs are made depends on how many share it now, and not on how many did when the first of them came.
        """
        at = self.clock()
        stated, changed = differences(found.wanted, found.stored, at)
        rows = [[key, digest, found.crowds.get(key)] for key, digest in sorted(found.own.items())]
        again = {"unmatched": UNMATCHED, "again": at}
        if not (stated.keys or found.reached or found.left):
            # As for most records, there is nothing to see but that they wait no more.
            self.graph.write_alone("record/settle", rows=rows)
            return ""
        held = {key: found.rows[key] for m in changed.values() for key in (m.a.record, m.b.record)} | found.own

        def write(tx: Transaction) -> bool:
            def still_so() -> bool:
                return dict(tx.one("record/hold", keys=sorted(held))) == held

            if stated.keys:
                written = state(tx, stated, self.rules, self.clock, still_so)
                if written is None:
                    return False
                write_matches(tx, changed, written)
                withdrawn = [claim.id for claim in stated.withdrawn]
                if withdrawn:
                    tx.do("match/withdraw", ids=withdrawn, at=written.at)
            tx.do("record/settle", rows=rows)
            if found.reached:
                values, but = sorted(found.reached), list(found.own)
                tx.do("crowd/reached", values=values, most=model.block_cap, but=but, **again)
            if found.left:
                tx.do("crowd/left", values=sorted(found.left), **again)
            return True

        settled, token = self.graph.write(write)
        self.behind |= bool(found.reached or found.left)
        return token if settled else None


def known_models(graph: Graph) -> list[KnownModel]:
    """All models, the one that was activated last first."""
    return [KnownModel(*row) for row in graph.read("model/list")]


def prepared_rows(model: "Compiled", rows: Sequence[Row]) -> list[Row]:
    """Rows for `record/prepare`, of rows that begin with key, digest, source and traits."""
    found: list[Row] = []
    for key, digest, _, traits, *_ in rows:
        fields = model.fields(orjson.loads(traits))
        found.append([key, digest, orjson.dumps(fields).decode(), model.blocks(fields)])
    return found


def write_matches(tx: Transaction, matches: Mapping[str, Match], written: Written) -> None:
    """Write matched links as they were decided."""
    if not matches:
        return
    existing = {id: element for id, element, _ in tx.one("link/find", ids=list(matches))}
    new: list[Row] = []
    old: list[Row] = []
    for id, m in matches.items():
        levels = orjson.dumps([[lv.comparison, lv.level, lv.weight] for lv in m.evidence.levels]).decode()
        said = [m.evidence.version, m.evidence.weight, m.evidence.probability, levels]
        verdict_now = verdict(written.plan.refused.get(id)) if m.conducts else [PROPOSED, None, None]
        row = [*said, *verdict_now, None if m.conducts else ProposalStatus.OPEN.value]
        if id in existing:
            old.append([existing[id], *row])
        else:
            ends = [written.element[m.a.anchor], written.element[m.b.anchor]]
            new.append([*ends, id, m.a.record, m.b.record, *row])
    if new:
        tx.do("match/create", rows=new, at=written.at)
    if old:
        tx.do("match/restate", rows=old, at=written.at)
    told = (*written.plan.changes, *written.plan.rulings)
    if by_these := [change.id for change in told if change.link in matches]:
        tx.do("change/evidence", ids=by_these)
