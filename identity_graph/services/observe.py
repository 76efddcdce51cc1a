"""Observations in: the write protocol, one transaction a batch.

1. Answer those that were taken before. 2. Read the identifiers and their profiles. 3. Read the evidence components that
must be resolved again. 4. Lock all touched profiles in sorted order; if any changed since it was read, start again.
5. Decide (pure). 6. Write profiles, identifiers, links, moves, tombstones, lineage, records and results.

Every writer obeys this. Neo4j reads what is committed at the moment of each statement, so without step 4 two writers
that touch one profile would decide on different pictures of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import uuid_utils

from identity_graph.domain.decision import (
    BLOCKED,
    REFUSED,
    SHARED,
    Accepted,
    ChangeRef,
    Component,
    KnownIdentifier,
    KnownProfile,
    Member,
    Plan,
    ProfileRef,
    RefusedLink,
    StoredLink,
    Survey,
    decide,
    outcomes,
    survey,
)
from identity_graph.domain.evidence import Key, Link, LinkKind, Observation, Refusal, RefusalCode
from identity_graph.domain.intake import Rejection
from identity_graph.domain.rules import Rules
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import Transaction

Answer = Accepted | Rejection
#: Rows are lists of plain values: the driver packs those natively and asks Python about each tuple or enum.
Row = list[Any]


def new_id() -> str:
    """A version 7 UUID: it sorts by time, so indexes grow at their end; safe in forked processes."""
    return str(uuid_utils.uuid7())


def observe(tx: Transaction, batch: Sequence[Observation], rules: Rules, at: int) -> list[Answer]:
    """Take a batch of observations at the moment ``at`` (microseconds since 1970); the answers in order.

    Raises :class:`StaleRead` where another writer was faster; the transaction is then to be run again.
    """
    fresh, answers = _once(tx, batch)
    if fresh:
        taken = _Taking(tx, rules, at).take(list(fresh.values()))
        answers.update({answer.observation_id: answer for answer in taken})
    return [_answer_to(o, fresh, answers) for o in batch]


def _once(tx: Transaction, batch: Sequence[Observation]) -> tuple[dict[str, Observation], dict[str, Answer]]:
    """The observations that are new, by id, and the stored answers to the others."""
    stored = {row[0]: (row[1], row[2]) for row in tx.one("observation/find", ids=list({o.id for o in batch}))}
    fresh: dict[str, Observation] = {}
    answers: dict[str, Answer] = {}
    for o in batch:
        if o.id in stored:
            digest, result = stored[o.id]
            if digest == o.digest:
                answers[o.id] = _unpack(o.id, result)
        else:
            fresh.setdefault(o.id, o)
    return fresh, answers


def _answer_to(o: Observation, fresh: dict[str, Observation], answers: Mapping[str, Answer]) -> Answer:
    """One answer; a repeat inside the batch is a duplicate of its first."""
    first = fresh.get(o.id)
    answer = answers.get(o.id)
    if answer is None or (first is not None and first.digest != o.digest):
        message = "this id was already used for an observation with other content; give each observation its own id"
        return Rejection(o.id, "ID_REUSED", message, ("id",))
    if first is None or first is o or not isinstance(answer, Accepted):
        return answer
    return Accepted(o.id, True, answer.profile, answer.refused, answer.changes)


def _pack(answer: Accepted) -> str:
    profile = answer.profile and [answer.profile.id, answer.profile.size, answer.profile.version]
    refused = [[r.a, r.b, r.refusal.code, r.refusal.parties] for r in answer.refused]
    return orjson.dumps([profile, refused, [[c.id, c.kind] for c in answer.changes]]).decode()


def _unpack(id: str, result: str) -> Accepted:
    profile, refused, changes = orjson.loads(result)
    return Accepted(
        id,
        True,
        ProfileRef(*profile) if profile else None,
        tuple(RefusedLink(a, b, Refusal(RefusalCode(code), tuple(parties))) for a, b, code, parties in refused),
        tuple(ChangeRef(*change) for change in changes),
    )


class _Taking:
    """One batch on its way through the protocol; knows the database's element of each key and profile id."""

    def __init__(self, tx: Transaction, rules: Rules, at: int) -> None:
        self.tx, self.rules, self.at = tx, rules, at
        self.identifiers: dict[Key, KnownIdentifier] = {}
        self.profiles: dict[str, KnownProfile] = {}
        self.element: dict[str, str] = {}
        self.link_element: dict[str, str] = {}
        self.rev: dict[str, int] = {}

    def take(self, batch: list[Observation]) -> list[Accepted]:
        keys = sorted({i.key for o in batch for i in o.identifiers})
        for row in self.tx.one("identifier/find", keys=keys):
            self.element[row[0]] = row[1]
            self.identifiers[row[0]] = KnownIdentifier(row[2], tuple(row[3] or ()), row[5])
            if row[5] is not None:
                self._know(row[4:])
        seen = survey(batch, self.identifiers, self.profiles, self.rules)
        component = self._component(seen.read) if seen.read else Component()
        self._lock({*seen.lock, *component.profiles})
        plan = decide(seen, self.profiles, component, self.rules, new_id)
        shared = {
            key: self.profiles[known.profile]
            for key, known in self.identifiers.items()
            if known.state == SHARED and known.profile
        }
        answers = outcomes(batch, seen, plan, shared)
        self._write(batch, seen, plan, answers)
        return answers

    def _know(self, row: Sequence[Any]) -> str:
        element, id, created_at, size, version, rev, refused, guarded, limited = row
        if id not in self.profiles:
            self.element[id] = element
            self.rev[element] = rev
            self.profiles[id] = KnownProfile(id, created_at, size, version, refused, guarded, tuple(limited))
        return id

    def _component(self, profiles: Iterable[str]) -> Component:
        """Everything about the evidence components of these profiles."""
        component = Component()
        frontier = list(profiles)
        component.profiles.update((id, self.profiles[id]) for id in frontier)
        while frontier := [id for id in frontier if self.profiles[id].refused]:
            rows = self.tx.one("component/neighbours", elements=[self.element[id] for id in frontier])
            met = {self._know(row[1:]) for row in rows}
            frontier = sorted(met - component.profiles.keys())
            component.profiles.update((id, self.profiles[id]) for id in frontier)
        elements = {self.element[id]: id for id in component.profiles}
        for element, own, key, first_seen, state in self.tx.one("component/members", elements=list(elements)):
            self.element[key] = own
            component.members.append(Member(key, elements[element], first_seen, state == SHARED))
        members = {m.key for m in component.members}
        for row in self.tx.one("component/links", elements=list(elements)):
            if row[3] in members:
                self.link_element[row[1]] = row[0]
                component.links.append(_stored_link(row))
        if any(p.guarded for p in component.profiles.values()):
            pairs = self.tx.one("component/cannot_links", elements=list(elements))
            component.cannot_links += {frozenset(pair) for pair in pairs}
        return component

    def _lock(self, profiles: set[str]) -> None:
        """Hold the profiles until the commit, or give up where one changed since it was read."""
        elements = sorted(self.element[id] for id in profiles)
        if not elements:
            return
        locked = self.tx.one("profile/lock", elements=elements)
        if len(locked) != len(elements) or any(rev != self.rev[element] + 1 for element, rev in locked):
            raise StaleRead("a profile changed between reading and locking")

    def _write(self, batch: list[Observation], seen: Survey, plan: Plan, answers: list[Accepted]) -> None:
        self._write_profiles(plan)
        self._write_identifiers(seen, plan)
        self._write_links(seen, plan)
        self._write_moves(plan)
        self._write_records(batch)
        rows = [
            [o.id, o.digest, o.source, o.observed_at, [i.key for i in o.identifiers], _pack(answer)]
            for o, answer in zip(batch, answers, strict=True)
        ]
        self.tx.do("observation/create", rows=rows, at=self.at)

    def _write_profiles(self, plan: Plan) -> None:
        new = [p for p in plan.profiles.values() if p.new]
        if new:
            rows = [[p.id, p.size, p.refused, list(p.limited), p.observation, p.link, p.guarded] for p in new]
            elements = self.tx.one("profile/create", rows=rows, at=self.at)
            self.element.update(zip((p.id for p in new), elements, strict=True))
        old = [p for p in plan.profiles.values() if p.changed and not p.new]
        if old:
            rows = [[self.element[p.id], p.size, p.refused, list(p.limited), p.guarded] for p in old]
            self.tx.do("profile/update", rows=rows)

    def _write_identifiers(self, seen: Survey, plan: Plan) -> None:
        rule = self.rules.rule
        created: list[Row] = []
        junk: list[Row] = []
        touched: list[Row] = []
        for key, s in sorted(seen.sightings.items()):
            partners = sorted(s.partners) if s.partners else None
            if not s.new:
                state = s.state if s.newly_shared else None
                touched.append([self.element[key], s.first_seen, s.last_seen, sorted(s.sources), partners, state])
                continue
            i = s.identifier
            raw = None if i.raw == i.value else i.raw
            row = [key, i.namespace, i.value, raw, s.first_seen, s.last_seen, sorted(s.sources)]
            if s.state == BLOCKED:
                junk.append(row)
            else:
                profile = self.element[plan.home[key]]
                created.append([*row, s.state, partners, rule(i.namespace).is_device, profile])
        if created:
            elements = self.tx.one("identifier/create", rows=created, at=self.at)
            self.element.update(zip((row[0] for row in created), elements, strict=True))
        if junk:
            elements = self.tx.one("identifier/create_blocked", rows=junk)
            self.element.update(zip((row[0] for row in junk), elements, strict=True))
        if touched:
            self.tx.do("identifier/touch", rows=touched)

    def _write_links(self, seen: Survey, plan: Plan) -> None:
        sightings = seen.sightings
        perhaps = [c.id for c in seen.claims.values() if not (sightings[c.a].new or sightings[c.b].new)]
        perhaps = [id for id in perhaps if id not in self.link_element]
        if perhaps:
            self.link_element.update(self.tx.one("link/find", ids=perhaps))
        new: list[Row] = []
        old: list[Row] = []
        for c in seen.claims.values():
            element = self.link_element.get(c.id)
            if element:
                old.append([element, c.first_seen, c.last_seen, c.count])
                continue
            seen_when = [c.first_seen, c.last_seen, c.count, *_verdict(plan.refused.get(c.id))]
            new.append([self.element[c.a], self.element[c.b], c.id, "OBSERVED", c.source, *seen_when])
        if new:
            self.tx.do("link/create", rows=new)
        if old:
            self.tx.do("link/touch", rows=old)
        if plan.judged:
            self.tx.do("link/judge", rows=[[self.link_element[id], *_verdict(r)] for id, r in plan.judged])

    def _write_moves(self, plan: Plan) -> None:
        moved: dict[str, list[Key]] = {}
        if plan.absorb:
            rows = [[self.element[loser], self.element[survivor]] for loser, survivor in plan.absorb]
            moved = dict(self.tx.one("membership/absorb", rows=rows, at=self.at))
        if plan.move:
            rows = [[self.element[key], self.element[id]] for key, id in plan.move]
            self.tx.do("membership/move", rows=rows, at=self.at)
        if plan.entomb:
            rows = [[self.element[loser], self.element[survivor], change] for loser, survivor, change in plan.entomb]
            self.tx.do("profile/entomb", rows=rows, at=self.at)
        if plan.changes:
            changes: list[Row] = []
            for c in plan.changes:
                keys = list(c.moved) or sorted(moved.get(self.element[c.participants[-1][0]], ()))
                roles = [[self.element[id], role] for id, role in c.participants]
                changes.append([c.id, c.kind, c.link, c.observation, keys, roles])
            self.tx.do("change/create", rows=changes, at=self.at)

    def _write_records(self, batch: list[Observation]) -> None:
        newest: dict[str, tuple[tuple[int, str], Observation]] = {}
        for o in batch:
            if o.traits is not None and o.record_key:
                rank = (o.observed_at, o.digest)
                if o.record_key not in newest or rank > newest[o.record_key][0]:
                    newest[o.record_key] = (rank, o)
        if newest:
            rows = [
                [
                    key,
                    o.source,
                    o.record_id,
                    orjson.dumps(o.traits, option=orjson.OPT_SORT_KEYS).decode(),
                    o.observed_at,
                    o.digest,
                    self.element[o.anchor.key],
                ]
                for key, (_, o) in sorted(newest.items())
                if o.anchor
            ]
            self.tx.do("record/upsert", rows=rows)


def _verdict(refusal: Refusal | None) -> Row:
    return [REFUSED, refusal.code.value, list(refusal.parties)] if refusal else ["ACTIVE", None, None]


def _stored_link(row: Sequence[Any]) -> StoredLink:
    _, id, a, b, kind, source, first_seen, last_seen, count, weight, _, reason, parties = row
    link = Link(id, a, b, source, first_seen, last_seen, count, LinkKind(kind), weight or 0.0)
    return StoredLink(link, Refusal(RefusalCode(reason), tuple(parties or ())) if reason else None)
