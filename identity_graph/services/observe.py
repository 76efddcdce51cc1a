"""Observations in: the write protocol.

1. Answer those that were taken before. 2. Read the identifiers, their profiles, and which profiles belong to one
evidence component. 3. Lock all touched profiles in sorted order and read again; if anything differs, start again with
these locks. 4. Read the components that must be resolved again. 5. Decide (pure). 6. Write profiles, identifiers,
links, moves, tombstones, lineage, records and results, in the same transaction.

Every writer obeys this. Neo4j reads what is committed at the moment of each read, so without step 3 two writers that
touch one profile would decide on different pictures of it. A commit is not seen all at once either: its properties
come before its relationships, so a revision number alone would vouch for memberships that are about to change.

Reading, locking and writing are one statement each, `batch/read`, `batch/lock` and `batch/write`: a small batch costs
the round trips to the database rather than its rows.

A large batch is read once and then written in parts, each with the observations of other people, by a few transactions
at a time: while the database works at some of them, this process decides others.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, TypedDict

import orjson
import uuid_utils

from identity_graph.domain.decision import (
    ACTIVE,
    BLOCKED,
    NOTHING_STATED,
    REFUSED,
    SHARED,
    Accepted,
    Change,
    ChangeRef,
    Component,
    KnownIdentifier,
    KnownProfile,
    Member,
    Plan,
    ProfileRef,
    RefusedLink,
    Stated,
    StoredLink,
    Survey,
    decide,
    outcomes,
    survey,
)
from identity_graph.domain.events import Tally
from identity_graph.domain.evidence import CannotLink, Key, Link, LinkKind, Observation, Refusal, RefusalCode
from identity_graph.domain.intake import Rejection
from identity_graph.domain.partition import DisjointSets
from identity_graph.domain.rules import Rules
from identity_graph.services.catalogue import Catalogue, count_left_out, left_out
from identity_graph.services.live import keep_current, moved_by
from identity_graph.store.errors import Conflict, Refused, RulesChanged, StaleRead
from identity_graph.store.graph import WRITE_TIMEOUT, Graph, Transaction, join_tokens

Answer = Accepted | Rejection
#: Answers and a consistency token.
Taken = tuple[list[Answer], str]
#: Microseconds since 1970.
Clock = Callable[[], int]
#: Rows are lists of plain values: the driver packs those natively and asks Python about each tuple or enum.
Row = list[Any]
#: Lists of rows by their names in `batch/write`.
Rows = dict[str, list[Any]]


class Found(TypedDict):
    """What `batch/write` found for :func:`keep_current`."""

    golden: list[Row]
    revisions: dict[str, str]


#: Each time more of what is read is held already; a component that grows faster than this is left to its writer.
READS = 4
#: Transactions that write a large batch at a time.
WRITERS = 2
#: Parts of a large batch at most: with more of them than writers, these soon take turns at deciding and at waiting for
#: the database, instead of doing both together. 40,000 observations took 20 s in four parts, 24 s in two.
PARTS = 4
#: Observations of a part at least, where there are more parts than writers.
WORTH_A_PART = 500
#: Why a record waits for its matching: it was written, or another model is being activated.
UNMATCHED, ACTIVATING = 1, 2


@dataclass(frozen=True, slots=True)
class Cause:
    """Why profiles change: a link, or a person who gives a reason; ``act`` names what that person did at once."""

    kind: str = "LINK"
    actor: str | None = None
    reason: str | None = None
    act: str | None = None


BY_LINK = Cause()

#: What the active model reads of a record that is written: fields as JSON, its version, and blocking values.
Prepare = Callable[[Observation], tuple[str, str, list[int | None]]]


def as_text(values: Iterable[str]) -> str | None:
    """Names as one property: no identifier or source holds a tab. Neo4j keeps a list apart from its node, a short text
    within, which a third of all writing would else go into.
    """
    return "\t".join(values) or None


def from_text(text: str | None) -> list[str]:
    return text.split("\t") if text else []


def new_id() -> str:
    """A version 7 UUID: it sorts by time, so indexes grow at their end; safe in forked processes."""
    return str(uuid_utils.uuid7())


def observe(
    tx: Transaction,
    batch: Sequence[Observation],
    rules: Rules,
    clock: Clock,
    prepare: Prepare | None = None,
    cause: Cause = BY_LINK,
    before: Stated = NOTHING_STATED,
) -> list[Answer]:
    """Take a batch of observations; the answers in order. ``before`` is whose profiles were whose, where they restore.

    Where another writer was faster it is read again, with the locks taken so far, so that the next one cannot be.
    Raises :class:`StaleRead` where that does not help; the transaction is then to be run again.
    """
    for _ in range(READS):
        with suppress(StaleRead):
            picture = Picture.read(tx, batch)
            picture.know_ended(tx, before)
            fresh = list(picture.fresh.values())
            taken = _Taking(tx, picture, rules, clock, prepare, cause).take(fresh, before) if fresh else []
            return picture.answers_to(batch, taken)
    raise StaleRead("the same profiles kept changing between reading and locking")


@dataclass(frozen=True, slots=True)
class Written:
    """What was decided of statements: the verdicts, the elements of identifiers and profiles, and the moment.

    ``home`` is the profile of each identifier that was stated, afterwards.
    """

    plan: Plan
    element: dict[str, str]
    home: dict[Key, str]
    at: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What changes beside links: whose golden records, and whose events of which types, by the identifiers' keys.

    ``write`` writes it, once, at the moment that it gets: before anything is decided, when everything is held.
    """

    anchors: Collection[Key]
    happened: Collection[tuple[Key, str]]
    write: Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Told:
    """A change that a statement is, whatever follows from it: its kind, whose profiles are its parties, and its link.

    ``alone``: other changes tell it where its identifiers are not in one profile yet.
    """

    kind: str
    keys: frozenset[Key]
    link: str | None = None
    alone: bool = False


def state(
    tx: Transaction,
    stated: Stated,
    rules: Rules,
    clock: Clock,
    still_so: Callable[[], bool],
    cause: Cause = BY_LINK,
    beside: Beside | None = None,
    told: Sequence[Told] = (),
    picture: "Picture | None" = None,
) -> Written | None:
    """Write what the model or a person states of known identifiers, except the stated links and cannot-links.

    ``still_so`` is asked when everything is held; if it says no, or an identifier was forgotten meanwhile, nothing is
    written and the answer is None. ``told`` are changes of the statement's own. ``picture`` is one of all the stated
    identifiers, if there is one already. Raises :class:`StaleRead` as :func:`observe` does.
    """
    for _ in range(READS):
        with suppress(StaleRead):
            picture = picture or Picture.of(tx, stated.keys)
            picture.know_ended(tx, stated)
            if stated.keys - picture.identifiers.keys():
                return None
            return _Taking(tx, picture, rules, clock, cause=cause).state(stated, still_so, beside, told)
        picture = None
    raise StaleRead("the same profiles kept changing between reading and locking")


def observe_in_parts(
    graph: Graph,
    batch: Sequence[Observation],
    rules: Rules,
    clock: Clock,
    again: Callable[[list[Observation]], Taken],
    until: float,
    prepare: Prepare | None = None,
) -> Taken:
    """The same by several transactions, of which :data:`WRITERS` run at once; also a consistency token.

    No try lasts beyond ``until``, a moment that :meth:`Graph.deadline` told. A part that met another writer, or
    something that cannot be stored, is taken ``again`` by itself. The first error of any part is raised when all have
    ended.
    """
    picture = graph.read_many(lambda tx: Picture.read(tx, batch), timeout=WRITE_TIMEOUT, until=until)

    def write(part: list[Observation]) -> Taken:
        try:
            return graph.write(
                lambda tx: _Taking(tx, picture, rules, clock, prepare).take(part), retry_stale=False, until=until
            )
        except (Conflict, Refused):
            return again(part)

    with ThreadPoolExecutor(WRITERS) as writers:
        running = [writers.submit(write, part) for part in picture.parts()]
    written = [part.result() for part in running]
    taken = [answer for answers, _ in written for answer in answers]
    return picture.answers_to(batch, taken), join_tokens(token for _, token in written)


def _pack(answer: Accepted) -> str:
    profile = answer.profile and [answer.profile.id, answer.profile.size, answer.profile.version]
    refused = [[r.a, r.b, r.refusal.code, r.refusal.parties] for r in answer.refused]
    return orjson.dumps([profile, refused, [[c.id, c.kind] for c in answer.changes]]).decode()


#: The result of an observation that was taken back.
RETRACTED_RESULT = "null"


def _unpack(id: str, result: str) -> Answer:
    if result == RETRACTED_RESULT:
        message = "this observation was retracted; undo that, or observe anew under another id"
        return Rejection(id, "RETRACTED", message, ("id",))
    profile, refused, changes = orjson.loads(result)
    return Accepted(
        id,
        True,
        ProfileRef(*profile) if profile else None,
        tuple(RefusedLink(a, b, Refusal(RefusalCode(code), tuple(parties))) for a, b, code, parties in refused),
        tuple(ChangeRef(*change) for change in changes),
    )


class Picture:
    """What the graph knew of a batch when it was looked at.

    ``element`` is the database's name for each identifier key and profile id.
    ``joined`` are profiles with refused links between them: one evidence component.
    """

    def __init__(self) -> None:
        self.fresh: dict[str, Observation] = {}
        self.stored: dict[str, tuple[str, Answer]] = {}
        self.identifiers: dict[Key, KnownIdentifier] = {}
        self.profiles: dict[str, KnownProfile] = {}
        self.joined = DisjointSets()
        self.element: dict[str, str] = {}

    @classmethod
    def read(cls, tx: Transaction, batch: Sequence[Observation]) -> "Picture":
        picture = cls()
        observations = list({o.id for o in batch})
        keys = sorted({i.key for o in batch for i in o.identifiers})
        ((taken, found),) = tx.run("batch/read", observations=observations, keys=keys)
        picture._know_observations(batch, taken)
        if picture.fresh:
            picture._know_identifiers(found)
            picture._read_neighbours(tx)
        return picture

    @classmethod
    def of(cls, tx: Transaction, keys: Iterable[Key]) -> "Picture":
        """What is known of identifiers without any observation."""
        picture = cls()
        picture._know_identifiers(tx.one("identifier/find", keys=sorted(keys)))
        picture._read_neighbours(tx)
        return picture

    def know_ended(self, tx: Transaction, stated: Stated) -> None:
        """Know the profiles that may come back."""
        unknown = [p.id for p, _ in stated.restored if p.id not in self.profiles]
        if unknown:
            for row in tx.one("profile/ended", ids=unknown):
                self.know(row[1:])

    def _know_observations(self, batch: Sequence[Observation], taken: Iterable[Row]) -> None:
        stored = {row[0]: row[1:] for row in taken}
        for o in batch:
            if o.id not in stored:
                self.fresh.setdefault(o.id, o)
            else:
                digest, result = stored[o.id]
                self.stored[o.id] = digest, _unpack(o.id, result)

    def _know_identifiers(self, found: Iterable[Row]) -> None:
        for row in found:
            self.element[row[0]] = row[1]
            self.identifiers[row[0]] = _known_identifier(row[2], row[3], row[5])
            if row[5] is not None:
                self.know(row[4:])
            elif row[2] != BLOCKED:
                raise StaleRead("an identifier is just being moved")

    def know(self, row: Sequence[Any]) -> str:
        """Know a profile by its element and its properties; its id."""
        known = known_profile(row)
        if known.id not in self.profiles:
            self.element[known.id] = row[0]
            self.profiles[known.id] = known
        return known.id

    def _read_neighbours(self, tx: Transaction) -> None:
        """Close the profiles over refused links."""
        frontier = [id for id, p in self.profiles.items() if p.refused]
        while frontier:
            before = set(self.profiles)
            names = {self.element[id]: id for id in frontier}
            for row in tx.one("component/neighbours", elements=list(names)):
                self.joined.join(names[row[0]], self.know(row[1:]))
            frontier = [id for id in self.profiles.keys() - before if self.profiles[id].refused]

    def component_of(self, profiles: Iterable[str]) -> list[str]:
        """The profiles of the evidence components that these profiles are in, sorted."""
        roots = {self.joined.find(id) for id in profiles}
        return sorted(id for id in self.profiles if self.joined.find(id) in roots)

    def parts(self) -> list[list[Observation]]:
        """The fresh observations in some parts of about equal size that share no profile and no new identifier.

        All that touch junk or shared identifiers stay together: two transactions would wait for each other there.
        """
        sets = DisjointSets()
        sets.parent = dict(self.joined.parent)
        for o in self.fresh.values():
            places = [self._place(i.key) for i in o.identifiers]
            for place in places[1:]:
                sets.join(places[0], place)
        people: dict[str, list[Observation]] = defaultdict(list)
        for o in self.fresh.values():
            people[sets.find(self._place(o.identifiers[0].key))].append(o)
        many = min(PARTS, max(WRITERS, len(self.fresh) // WORTH_A_PART))
        parts: list[list[Observation]] = [[] for _ in range(many)]
        for group in people.values():
            min(parts, key=len).extend(group)
        return [part for part in parts if part]

    def _place(self, key: Key) -> str:
        """Where it is decided: the profile, the new identifier itself, or one place for all that joins nothing."""
        known = self.identifiers.get(key)
        if known is None:
            return key
        return (known.state == ACTIVE and known.profile) or ""

    def answers_to(self, batch: Sequence[Observation], taken: Iterable[Answer]) -> list[Answer]:
        """One answer an observation, in order; a repeat inside the batch is a duplicate of its first."""
        answers = {answer.observation_id: answer for answer in taken}
        return [self._answer(o, answers) for o in batch]

    def _answer(self, o: Observation, taken: Mapping[str | None, Answer]) -> Answer:
        first = self.fresh.get(o.id)
        digest, answer = (first.digest, taken[o.id]) if first else self.stored[o.id]
        if digest != o.digest:
            message = "this id was already used for an observation with other content; give each observation its own id"
            return Rejection(o.id, "ID_REUSED", message, ("id",))
        if first is None or first is o or not isinstance(answer, Accepted):
            return answer
        return replace(answer, duplicate=True)


class _Taking:
    """Observations on their way through one transaction. The picture is shared and only read."""

    def __init__(
        self,
        tx: Transaction,
        picture: Picture,
        rules: Rules,
        clock: Clock,
        prepare: Prepare | None = None,
        cause: Cause = BY_LINK,
    ) -> None:
        self.tx, self.picture, self.rules, self.clock = tx, picture, rules, clock
        self.prepare, self.cause = prepare, cause
        self.element = dict(picture.element)
        self.number: dict[str, int] = {}

    def take(self, batch: list[Observation], before: Stated = NOTHING_STATED) -> list[Answer]:
        picture = self.picture
        seen = survey(batch, picture.identifiers, picture.profiles, self.rules, before)
        again = picture.component_of(seen.read)
        self._lock(
            {*seen.lock, *again, *(p.id for p, _ in before.restored)},
            [key for key in seen.home if key in picture.identifiers],
        )
        # Only now: whoever held these profiles has committed, so what ends here began earlier.
        self.at = self.clock()
        component = self._component(again)
        plan = decide(seen, picture.profiles, component, self.rules, new_id)
        shared = {
            key: picture.profiles[known.profile]
            for key in seen.sightings
            if (known := picture.identifiers.get(key)) and known.state == SHARED and known.profile
        }
        answers = outcomes(batch, seen, plan, shared)
        records = _newest(batch)
        rows = self._decided(plan, _matched_by(seen, component), {o.anchor.key for o in records.values() if o.anchor})
        rows |= self._identifiers(seen, plan) | self._links(seen, plan) | self._records(records, batch)
        rows |= self._observations(batch, answers)
        written = self._write(rows)
        keep_evidence(self.tx, rows["changes"])
        self._revive(plan)
        crowded = [self.element[key] for key, s in seen.sightings.items() if s.newly_shared and not s.new]
        if crowded:
            self.tx.do("link/name_shared", elements=crowded)
        catalogue = self._keep_current(batch, seen, plan, records.values(), written)
        return self._warned(records.values(), answers, catalogue) if catalogue.full else list(answers)

    def _warned(
        self, records: Collection[Observation], answers: Iterable[Accepted], catalogue: Catalogue
    ) -> list[Answer]:
        """Answers that name the traits which stay in records; these are counted in the catalogue."""
        beyond = {o.id: tuple(left_out(catalogue, o.source, o.traits, self.rules)) for o in records}
        many = Counter[str]()
        for o in records:
            many[o.source] += len(beyond[o.id])
        if many := +many:
            count_left_out(self.tx, many)
        return [replace(answer, left_out=beyond.get(answer.observation_id, ())) for answer in answers]

    def state(
        self, stated: Stated, still_so: Callable[[], bool], beside: Beside | None, told: Sequence[Told]
    ) -> Written | None:
        picture = self.picture
        seen = survey((), picture.identifiers, picture.profiles, self.rules, stated)
        again = picture.component_of(seen.read)
        self._lock({*seen.lock, *again, *(p.id for p, _ in stated.restored)}, list(seen.home))
        if not still_so():
            return None
        self.at = self.clock()
        component = self._component(again)
        if beside:
            beside.write(self.at)
        plan = decide(seen, picture.profiles, component, self.rules, new_id)
        into = dict(plan.absorb)
        before = {key: profile for key, known in picture.identifiers.items() if (profile := known.profile)}
        home = {key: into.get(profile, profile) for key, profile in before.items()} | dict(plan.move)
        for one in told:
            if one.alone and len({before.get(key) for key in one.keys}) > 1:
                continue
            parties = sorted({home[key] for key in one.keys if key in home})
            change = Change(new_id(), one.kind, one.link, None, (), tuple((id, "PARTY") for id in parties))
            plan.changes.append(change)
        rows = self._decided(plan, _matched_by(seen, component), beside.anchors if beside else ())
        written = self._write(rows)
        keep_evidence(self.tx, rows["changes"])
        element = self.element
        self._revive(plan)
        if plan.leave:
            leave, emptied = [element[key] for key in plan.leave], [element[id] for id in plan.emptied]
            self.tx.do("profile/leave", identifiers=leave, emptied=emptied, at=self.at)
        happened = [(element[home[key]], type) for key, type in (beside.happened if beside else ())]
        keep_current(self.tx, plan, element, self.rules, self.at, **written, happened=happened)
        return Written(plan, element, {k: id for k, id in home.items() if k not in stated.gone}, self.at)

    def _revive(self, plan: Plan) -> None:
        if plan.revive:
            self.tx.do("profile/revive", elements=[self.element[id] for id in plan.revive], at=self.at)

    def _component(self, profiles: list[str]) -> Component:
        """Everything about these profiles, which the transaction holds."""
        component = Component(profiles={id: self.picture.profiles[id] for id in profiles})
        if not profiles:
            return component
        elements = {self.element[id]: id for id in profiles}
        links: list[tuple[Key, Row]] = []
        sides: dict[str, tuple[set[Key], set[Key]]] = defaultdict(lambda: (set(), set()))
        for element, members, apart in self.tx.one("component/read", elements=list(elements)):
            for own, key, first_seen, state, starting in members:
                self.element[key] = own
                component.members.append(Member(key, elements[element], first_seen, state == SHARED))
                links += ((key, row) for row in starting)
            for id, side, key in apart:
                sides[id][side].add(key)
        inside = {m.key for m in component.members}
        component.links = [_stored_link(key, row) for key, row in links if row[1] in inside]
        component.cannot_links = [
            CannotLink(id, frozenset(one), frozenset(other)) for id, (one, other) in sides.items()
        ]
        self._whole(component)
        return component

    def _whole(self, component: Component) -> None:
        """Give up where the component grew while it was read: it has both ends of each of its refused links."""
        refused = sum(s.refusal is not None for s in component.links)
        if 2 * refused != sum(p.refused for p in component.profiles.values()):
            raise StaleRead("the component grew while it was read")

    def _lock(self, profiles: set[str], keys: Sequence[Key]) -> None:
        """Hold the profiles until the commit; give up where they, or these members, are not as they were read."""
        if not profiles:
            return
        elements = sorted(self.element[id] for id in profiles)
        ((locked, found),) = self.tx.run("batch/lock", elements=elements, identifiers=[self.element[k] for k in keys])
        held = {row[0]: known_profile(row) for row in locked}
        members = {key: _known_identifier(state, partners, profile) for key, state, partners, profile in found}
        if {self.element[id]: self.picture.profiles[id] for id in profiles} != held or {
            key: self.picture.identifiers[key] for key in keys
        } != members:
            raise StaleRead("a profile changed between reading and locking")

    def _write(self, rows: Rows) -> Found:
        # In one map: a text that is there, and one that is not, would be two statements, each of them to be planned.
        by = {**asdict(self.cause), "rules": self.rules.version}
        ((made, golden, revisions, superseded),) = self.tx.run("batch/write", rows=rows, at=self.at, by=by)
        if superseded:
            raise RulesChanged("the graph follows other rules by now; try again in a second")
        self.element.update(zip((row[0] for row in rows["new_profiles"]), made, strict=True))
        return {"golden": golden, "revisions": dict(revisions)}

    def _keep_current(
        self, batch: list[Observation], seen: Survey, plan: Plan, records: Iterable[Observation], written: Found
    ) -> Catalogue:
        homes = {key: self.element[id] for key, id in plan.home.items()}
        shared = {
            key: self.element[known.profile]
            for key in seen.sightings.keys() - homes.keys()
            if (known := self.picture.identifiers.get(key)) and known.profile
        }
        homes |= shared
        return keep_current(
            self.tx,
            plan,
            self.element,
            self.rules,
            self.at,
            **written,
            records=records,
            happened=[(homes[o.anchor.key], o.event.type) for o in batch if o.event and o.anchor],
            shared=set(shared.values()),
        )

    def _decided(self, plan: Plan, matched_by: Mapping[str, str], anchors: Collection[Key]) -> Rows:
        """Rows of `batch/write` for profiles, verdicts, moves and lineage. ``anchors`` are of records to be written."""
        new = [p for p in plan.profiles.values() if p.new]
        old = [p for p in plan.profiles.values() if p.changed and not p.new]
        written = [p.id for p in (*new, *old)]
        golden = moved_by(plan) | self._holders(plan, anchors)
        told = [*plan.changes, *plan.rulings]
        participants = {id for change in told for id, _ in change.participants}
        others = sorted((participants | golden).difference(written))
        element, number = self.element, self.number
        number.update((id, n) for n, id in enumerate((*written, *others)))
        changes: list[Row] = []
        for c in told:
            roles = [[number[id], role] for id, role in c.participants]
            by_model = matched_by.get(c.link or "")
            changes.append([c.id, c.kind, c.link, c.observation, list(c.moved) or None, roles, by_model])
        return {
            "new_profiles": [
                [p.id, p.size, p.refused, as_text(p.limited), p.observation, p.link, p.guarded or None] for p in new
            ],
            "profiles": [[element[p.id], p.size, p.refused, as_text(p.limited), p.guarded or None] for p in old],
            "other_profiles": [element[id] for id in others],
            "verdicts": [[id, *verdict(refusal)] for id, refusal in plan.judged],
            "absorb": [[number[loser], number[survivor]] for loser, survivor in plan.absorb],
            "move": [[element[key], number[id]] for key, id in plan.move],
            "entomb": [[number[loser], number[survivor], change] for loser, survivor, change in plan.entomb],
            "changes": changes,
            "golden": [number[id] for id in sorted(golden, key=lambda id: element.get(id, ""))],
        }

    def _holders(self, plan: Plan, anchors: Iterable[Key]) -> set[str]:
        """The profiles that records belong to."""
        known = self.picture.identifiers
        ids = {plan.home[key] if key in plan.home else known[key].profile for key in anchors}
        return {id for id in ids if id}

    def _identifiers(self, seen: Survey, plan: Plan) -> Rows:
        new: list[Row] = []
        junk: list[Row] = []
        known: list[Row] = []
        keys: tuple[list[Key], list[Key], list[Key]] = [], [], []
        for key, s in sorted(seen.sightings.items()):
            partners = as_text(sorted(s.partners)) if s.partners else None
            if not s.new:
                state = s.state if s.newly_shared else None
                known.append([self.element[key], s.first_seen, s.last_seen, sorted(s.sources), partners, state])
                keys[2].append(key)
                continue
            i = s.identifier
            raw = None if i.raw == i.value else i.raw
            row = [key, raw, s.first_seen, s.last_seen, as_text(sorted(s.sources))]
            if s.state == BLOCKED:
                junk.append(row)
                keys[1].append(key)
            else:
                is_device = self.rules.rule(i.namespace).is_device
                new.append([*row, s.state, partners, is_device, self.number[plan.home[key]]])
                keys[0].append(key)
        self.number.update((key, n) for n, key in enumerate(chain(*keys)))
        return {"new_identifiers": new, "new_junk": junk, "identifiers": known}

    def _links(self, seen: Survey, plan: Plan) -> Rows:
        new: list[Row] = []
        perhaps_new: list[Row] = []
        number, sightings = self.number, seen.sightings
        for c in seen.claims.values():
            ends_known = not (sightings[c.a].new or sightings[c.b].new)
            seen_when = [c.first_seen, c.last_seen, c.count]
            row = [number[c.a], number[c.b], c.id, c.source, *seen_when, *verdict(plan.refused.get(c.id))]
            (perhaps_new if ends_known else new).append(row)
        return {"new_links": new, "links": perhaps_new}

    def _records(self, newest: Mapping[str, Observation], batch: Iterable[Observation]) -> Rows:
        """Rows of records, and those that are not even the newest of the batch."""
        records: list[Row] = []
        outdated: list[Row] = []
        for key, o in sorted(newest.items()):
            if o.anchor:
                row = [key, o.source, o.record_id, _text_of(o), o.observed_at, o.digest, self.number[o.anchor.key]]
                if self.prepare:
                    fields, model, blocks = self.prepare(o)
                    row += [fields, model, UNMATCHED, blocks]
                records.append(row)
        for o in batch:
            if o.traits is not None and o.anchor and (key := o.record_key) and newest[key].digest != o.digest:
                outdated.append([key, _text_of(o), o.observed_at, o.digest])
        return {"records": records, "outdated": outdated}

    def _observations(self, batch: Sequence[Observation], answers: Sequence[Accepted]) -> Rows:
        """What was observed and what came of it; an observation that tells of an event is also that event."""
        plain: list[Row] = []
        events: list[Row] = []
        tallies: dict[tuple[Key, str, str], Tally] = {}
        for o, answer in zip(batch, answers, strict=True):
            row = [o.id, o.digest, o.source, o.observed_at, as_text([i.key for i in o.identifiers]), _pack(answer)]
            if o.event and o.anchor:
                events.append([*row, o.anchor.key, o.event.type, o.event.properties, o.event.amount])
                place, one = (o.anchor.key, o.event.type, o.source), Tally.of(o.event, o.source, o.observed_at)
                tallies[place] = tallies[place].plus(one) if place in tallies else one
            else:
                plain.append(row)
        tallied: list[Row] = [
            [tally_key(by, type, source), self.number[by], type, source, t.count, t.first, t.last, t.amount]
            for (by, type, source), t in sorted(tallies.items())
        ]
        return {"observations": plain, "events": events, "tallies": tallied}


def keep_evidence(tx: Transaction, changes: Iterable[Row]) -> None:
    """Keep what the model says of the links that brought changes about, which are rows of `batch/write`."""
    ids = [id for id, *_, by_model in changes if by_model]
    if ids:
        tx.do("change/evidence", ids=ids)


def _matched_by(seen: Survey, component: Component) -> dict[str, str]:
    """The model that each matched link is of, by the link: a link gets another source when another model scores it."""
    said = (*(stored.link for stored in component.links), *seen.stated.claims)
    return {link.id: link.source for link in said if link.kind is LinkKind.MATCHED}


def _text_of(o: Observation) -> str:
    return orjson.dumps(o.traits, option=orjson.OPT_SORT_KEYS).decode()


def _newest(batch: Iterable[Observation]) -> dict[str, Observation]:
    """The newest row of each record, by its key; of two of one moment that of the greater digest."""
    found: dict[str, Observation] = {}
    for o in batch:
        if o.traits is not None and (key := o.record_key):
            other = found.get(key)
            if other is None or (o.observed_at, o.digest) > (other.observed_at, other.digest):
                found[key] = o
    return found


def tally_key(by: Key, type: str, source: str) -> str:
    """The name of the tally of an identifier's events; none of its parts holds a tab."""
    return f"{by}\t{type}\t{source}"


def verdict(refusal: Refusal | None) -> Row:
    """State, reason and parties of a link, as they are stored."""
    return [REFUSED, refusal.code.value, list(refusal.parties)] if refusal else ["ACTIVE", None, None]


def known_profile(row: Sequence[Any]) -> KnownProfile:
    _, id, created_at, size, version, refused, guarded, limited = row
    return KnownProfile(id, created_at, size, version, refused, bool(guarded), tuple(from_text(limited)))


def _known_identifier(state: str, partners: str | None, profile: str | None) -> KnownIdentifier:
    return KnownIdentifier(state, tuple(from_text(partners)), profile)


def _stored_link(a: Key, row: Row) -> StoredLink:
    id, b, source, first_seen, last_seen, count, *more = row
    if not more:
        return StoredLink(Link(id, a, b, source, first_seen, last_seen, count), None)
    kind, weight, reason, parties = more
    link = Link(id, a, b, source, first_seen, last_seen, count, LinkKind(kind), weight or 0.0)
    return StoredLink(link, Refusal(RefusalCode(reason), tuple(parties or ())) if reason else None)
