"""Segments: defined, looked at, evaluated as a whole, and kept as time goes by.

A definition is evaluated over all profiles at once when it is made, and once more when every write that had begun
before it has ended: such a write did not know of it. Between and after, each write keeps the profiles that it touches.
"""

import logging
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import orjson
import uuid_utils

from identity_graph.domain.rules import NamespaceClass, Rules
from identity_graph.domain.segments import (
    MAX_SUMMED,
    UNKNOWN,
    Condition,
    Definitions,
    HasIdentifiers,
    InvalidRule,
    Rule,
    leaves,
    misfits,
    near,
    parse_rule,
    segment_name,
    unfit,
)
from identity_graph.domain.traits import TraitType
from identity_graph.services.catalogue import SEGMENTS, Trait, read_catalogue, trait_catalogue
from identity_graph.services.live import active_segments, evaluate, read_facts
from identity_graph.services.lookup import Freshness
from identity_graph.services.observe import Clock
from identity_graph.services.periodic import Periodic
from identity_graph.store.errors import RulesChanged, StoreError
from identity_graph.store.graph import LONGEST_WRITE, WRITE_TIMEOUT, Graph, Transaction
from identity_graph.store.segment_query import (
    Compiled,
    index_of,
    indexable,
    not_satisfying,
    satisfying,
    turning,
)

logger = logging.getLogger("identity_graph.segments")

#: Profiles of one transaction.
BATCH = 1_000
#: Seconds of a look at all profiles.
WHOLE = 60.0
#: Microseconds after which no write runs any more that began before a definition.
SETTLED = round(LONGEST_WRITE * 1e6)
#: Seconds between looks for what time has changed.
EVERY = 5.0
MAX_DESCRIPTION = 1_000
#: Segments of one graph: each costs every profile that it is about.
MAX_SEGMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as stored: its rule as JSON text, None while it is being deleted; times in microseconds since 1970.

    ``whole_at`` is when it is to be evaluated over all profiles, None for never.
    """

    name: str
    version: int
    description: str
    rule: str | None
    defined_by: str
    defined_at: int
    size: int
    whole_at: int | None


@dataclass(frozen=True, slots=True)
class SegmentVersion:
    """A definition that a segment has or had: its rule as JSON text; ``defined_at`` in microseconds since 1970."""

    version: int
    description: str
    rule: str
    defined_by: str
    defined_at: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A profile in the light of a segment: whether it is a member, how each condition came out, and when time alone
    would change that (microseconds since 1970, None for never)."""

    profile: str
    is_member: bool
    conditions: list[Condition]
    turns_at: int | None


class Segments:
    """The segments of a graph. Shared by threads."""

    def __init__(self, graph: Graph, rules: Rules, clock: Clock) -> None:
        self._graph, self._rules, self._clock = graph, rules, clock
        self._periodic = Periodic("segments", self._keep_up, EVERY, first=EVERY)

    # --- Reads

    def all(self, fresh: Freshness) -> list[Segment]:
        """Every segment by name, but those that are being deleted."""
        ((rows,),) = self._graph.read("segment/list", token=fresh.token)
        return [Segment(*row) for row in rows if row[3]]

    def one(self, name: str, fresh: Freshness) -> Segment | None:
        return next((found for found in self.all(fresh) if found.name == name), None)

    def latest(self, name: str) -> tuple[Segment | None, str]:
        """A segment, and a consistency token by which a read sees at least what this one does: also who has entered by
        the transactions that follow a definition."""
        rows, token = self._graph.write(lambda tx: tx.one("segment/list"))
        return next((Segment(*row) for row in rows if row[0] == name and row[3]), None), token

    def versions(self, name: str, fresh: Freshness) -> list[SegmentVersion]:
        """Every definition that a segment of this name ever had, the latest first; also of deleted ones."""
        ((rows,),) = self._graph.read("segment/versions", token=fresh.token, name=name)
        return [SegmentVersion(*row) for row in rows]

    def members(self, name: str, first: int, after: str, fresh: Freshness) -> tuple[list[tuple[str, int]], bool, int]:
        """Members as (profile id, entered) in the order of their ids; whether more follow, and how many in all."""
        rows = self._graph.read("segment/members", token=fresh.token, name=name, after=after, limit=first + 1)
        total, found = rows[0] if rows else (0, [])
        return [(id, at) for id, at in found[:first]], len(found) > first, total

    def changes(
        self, name: str, first: int, before: str, fresh: Freshness
    ) -> tuple[list[tuple[str, str, str, int]], bool]:
        """Who entered and left as (id, profile, kind, at), the latest first; whether more follow."""
        ((found,),) = self._graph.read("segment/changes", token=fresh.token, name=name, before=before, limit=first + 1)
        return [(id, profile, kind, at) for id, profile, kind, at in found[:first]], len(found) > first

    def preview(self, raw: object, sample: int, fresh: Freshness) -> tuple[int, list[str]]:
        """How many profiles satisfy a rule now, and the ids of some. Raises :class:`InvalidRule`."""
        rule, definitions = self._parsed(raw), self._definitions()
        definitions.check(None, rule)
        self._graph.read_many(lambda tx: self._check_types(tx, rule), token=fresh.token)
        query = satisfying(rule, definitions, self._clock())
        ((size, ids),) = self._graph.read_with(
            "segment/preview", query, token=fresh.token, timeout=WRITE_TIMEOUT, limit=sample
        )
        return size, ids

    def _parsed(self, raw: object) -> Rule:
        return parse_rule(raw, self._rules.aggregates)

    def _misfits(self, tx: Transaction, rule: Rule) -> list[InvalidRule]:
        return misfits(rule, {**read_catalogue(tx).types, **dict.fromkeys(self._rules.aggregates, NUMBER)})

    def _check_types(self, tx: Transaction, rule: Rule) -> None:
        """Raises :class:`InvalidRule` where no value of a trait has a type that its operator is for."""
        if wrong := next((one for one in self._misfits(tx, rule) if one.code != UNKNOWN), None):
            raise wrong

    def _definitions(self) -> Definitions:
        current = self._graph.read_many(lambda tx: active_segments(tx, self._rules))
        return current.definitions if current else Definitions({}, self._rules)

    def catalogue(self, fresh: Freshness) -> tuple[list[Trait], dict[str, int]]:
        """All traits by name, and how many values were left out of each source with more names than are taken."""
        at = self._clock()
        return self._graph.read_many(
            lambda tx: trait_catalogue(tx, self._rules.aggregates, at), token=fresh.token, timeout=WRITE_TIMEOUT
        )

    def remarks(self, raw: object) -> list[InvalidRule]:
        """What a rule asks that nobody can answer yet, though it may be defined. Raises :class:`InvalidRule`."""
        rule = self._parsed(raw)
        return [one for one in self._graph.read_many(lambda tx: self._misfits(tx, rule)) if one.code == UNKNOWN]

    def explain(self, name: str, profile: str, fresh: Freshness) -> Explained | None:
        """Why a profile is or is not a member, condition by condition; None where there is no such profile.

        Raises :class:`InvalidRule` where there is no such segment.
        """
        at = self._clock()

        def read(tx: Transaction) -> Explained | None:
            current = active_segments(tx, self._rules)
            if current is None or name not in current.definitions.rules:
                raise _unknown(name, current.definitions if current else Definitions({}))
            rows = tx.run("segment/profile_element", id=profile)
            if not rows:
                return None
            ((_, id, is_active, facts, inside, _),) = read_facts(tx, [rows[0][0]], [name], current, at, MAX_SUMMED)
            told = list(current.definitions.explain(current.definitions.rules[name], facts, at))
            turns = current.definitions.flips(current.definitions.rules[name], facts, at) if is_active else None
            return Explained(id, name in inside, told, turns)

        return self._graph.read_many(read, token=fresh.token)

    # --- Definitions

    def define(
        self,
        name: str,
        description: str,
        raw: object,
        actor: str,
        *,
        expected_version: int | None = None,
        dry_run: bool = False,
    ) -> tuple[Segment, str]:
        """Define a segment and evaluate it; with it a consistency token. A dry run tells the size that it would have.

        A name that is in use needs the version that is to be replaced; the same definition again changes nothing.
        Raises :class:`InvalidRule`.
        """
        segment_name(name)
        if len(description) > MAX_DESCRIPTION:
            message = f"a description has at most {MAX_DESCRIPTION:,} characters"
            raise InvalidRule("INVALID_DESCRIPTION", message, ("description",))
        rule = self._parsed(raw)
        at, text = self._clock(), orjson.dumps(raw, option=orjson.OPT_SORT_KEYS).decode()

        def work(tx: Transaction) -> Segment:
            stored, definitions = self._held(tx)
            definitions.check(name, rule)
            self._check_types(tx, rule)
            old = stored.get(name)
            if old and (old.rule, old.description) == (text, description):
                return old
            _replaceable(name, old, expected_version)
            if not old and len(stored) >= MAX_SEGMENTS:
                message = f"a graph has at most {MAX_SEGMENTS:,} segments; delete one"
                raise InvalidRule("TOO_MANY_SEGMENTS", message, ("name",))
            version = tx.one("segment/latest_version", name=name) + 1
            tx.do("segment/define", name=name, version=version, description=description, rule=text, actor=actor, at=at)
            as_a_whole = [name, *definitions.dependents(name)]
            tx.do("segment/due_as_a_whole", names=as_a_whole, at=at, settles_at=at + SETTLED)
            return Segment(name, version, description, text, actor, at, old.size if old else 0, at)

        defined, _ = self._graph.write(work, dry_run=dry_run)
        if dry_run:
            return replace(defined, size=self.preview(raw, 0, Freshness())[0]), ""
        for of in sorted(indexable(rule)):
            self._graph.change_schema(index_of("segment/create_index", of))
        self.catch_up()
        found, token = self.latest(name)
        return found or defined, token

    def delete(self, name: str, *, dry_run: bool = False) -> str:
        """Delete a segment; its members leave it first. A consistency token. Raises :class:`InvalidRule`."""

        def work(tx: Transaction) -> set[str]:
            _, definitions = self._held(tx)
            if name not in definitions.rules:
                raise _unknown(name, definitions)
            if others := definitions.dependents(name):
                message = f"the rule of {', '.join(sorted(others)[:5])} names this segment; change or delete that first"
                raise InvalidRule("SEGMENT_IN_USE", message, ("name",))
            tx.do("segment/retire", name=name, at=self._clock())
            kept = (rule for other, rule in definitions.rules.items() if other != name)
            return indexable(definitions.rules[name]).difference(*map(indexable, kept))

        needless, _ = self._graph.write(work, dry_run=dry_run)
        if dry_run:
            return ""
        for of in sorted(needless):
            self._graph.change_schema(index_of("segment/drop_index", of))
        self.catch_up()
        return self.latest(name)[1]

    def _held(self, tx: Transaction) -> tuple[dict[str, Segment], Definitions]:
        """All segments, as no other transaction can change them now; those to be deleted have no rule."""
        tx.do("revision/set", key=SEGMENTS, revision=str(uuid_utils.uuid7()))
        stored = {row[0]: Segment(*row) for row in tx.one("segment/list")}
        self._expect_followed(tx)
        rules = {name: self._parsed(orjson.loads(one.rule)) for name, one in stored.items() if one.rule}
        return stored, Definitions(rules, self._rules)

    def _expect_followed(self, tx: Transaction) -> None:
        """Raises :class:`RulesChanged` where other rules took the place of these: they may declare other aggregates."""
        if any(not active for _, active in tx.run("rules/find", version=self._rules.version)):
            raise RulesChanged("the graph follows other rules by now; try again in a second")

    # --- As a whole, and as time goes by

    def catch_up(self) -> int:
        """Evaluate what is due as a whole, and the profiles that time may have changed; how many profiles."""
        at = self._clock()
        ((rows,),) = self._graph.read("segment/list")
        many = 0
        for segment in (Segment(*row) for row in rows):
            if segment.whole_at is not None and segment.whole_at <= at:
                many += self._evaluate_whole(segment, at)
        while True:
            ((elements,),) = self._graph.read("segment/due", now=at, limit=BATCH)
            if not elements:
                return many
            self._evaluate(elements, None)
            many += len(elements)

    def _evaluate_whole(self, segment: Segment, at: int) -> int:
        current = self._graph.read_many(lambda tx: active_segments(tx, self._rules))
        rule = current.definitions.rules.get(segment.name) if current else None
        elements: set[str] = set()
        if current is None or rule is None:
            elements |= self._found("segment/leaving", EVERY_PROFILE, segment.name)
        else:
            asked = (rule, current.definitions, at)
            elements |= self._found("segment/leaving", not_satisfying(*asked), segment.name)
            elements |= self._found("segment/joining", satisfying(*asked), segment.name)
            if segment.name in current.timed:
                elements |= self._found("segment/turning", turning(*asked))
        ordered = sorted(elements)
        for start in range(0, len(ordered), BATCH):
            self._evaluate(ordered[start : start + BATCH], frozenset({segment.name}))

        def done(tx: Transaction) -> None:
            self._expect_followed(tx)
            if rule is None:
                tx.do("segment/delete", name=segment.name)
            else:
                tx.do("segment/evaluated", name=segment.name, at=at)

        self._graph.write(done)
        return len(ordered)

    def _found(self, statement: str, query: Compiled, *name: str) -> set[str]:
        ((elements,),) = self._graph.read_with(statement, query, timeout=WHOLE, **({"name": name[0]} if name else {}))
        return set(elements)

    def _evaluate(self, elements: Sequence[str], names: AbstractSet[str] | None) -> None:
        """Let profiles enter or leave some segments, or all that time alone may change."""

        def work(tx: Transaction) -> None:
            self._expect_followed(tx)
            tx.one("profile/lock", elements=sorted(elements))
            current = active_segments(tx, self._rules)
            if current:
                evaluate(tx, dict.fromkeys(elements, current.timed if names is None else names), current, self._clock())

        self._graph.write(work)

    def start(self) -> None:
        """Look for what is due every few seconds, in a thread of its own, until :meth:`close`."""
        self._periodic.start()

    def close(self) -> None:
        self._periodic.close()

    def _keep_up(self) -> None:
        try:
            self.catch_up()
        except StoreError as e:
            logger.warning("segments are not kept as time goes by for now: %s", e)


def due_by_rules(tx: Transaction, before: Rules, then: Rules, at: int) -> None:
    """Have the segments evaluated as a whole that mean something else by other rules of the graph, in the transaction
    that makes it follow them; once more when nobody acts by the former ones any more."""
    reclassed = _reclassed(before, then)
    if before.aggregates == then.aggregates and not reclassed:
        return
    # Whoever defines a segment holds this, and sees the new rules after it.
    tx.do("revision/set", key=SEGMENTS, revision=str(uuid_utils.uuid7()))
    raw = {row[0]: orjson.loads(row[3]) for row in tx.one("segment/list") if row[3]}
    old, new = ({name: parse_rule(one, by.aggregates) for name, one in raw.items()} for by in (before, then))
    changed = [
        name
        for name, rule in new.items()
        if rule != old[name] or any(isinstance(leaf, HasIdentifiers) and leaf.cls in reclassed for leaf in leaves(rule))
    ]
    names = {*changed, *(other for name in changed for other in Definitions(new, then).dependents(name))}
    # A service takes other rules within a second or so, and ends within ten what it does by the former ones.
    tx.do("segment/due_as_a_whole", names=sorted(names), at=at, settles_at=at + 2 * SETTLED)


def _reclassed(before: Rules, then: Rules) -> set[NamespaceClass]:
    """The classes that hold other namespaces by other rules."""
    classes = [(before.defaults.cls, then.defaults.cls)]
    classes += [(before.rule(name).cls, then.rule(name).cls) for name in {*before.namespaces, *then.namespaces}]
    return {cls for one, other in classes if one is not other for cls in (one, other)}


def unanswered(graph: Graph, then: Rules) -> Iterator[tuple[str, InvalidRule]]:
    """The segments that ask, of aggregates that other rules declare, what those cannot answer; and what of it."""
    current = graph.read_many(lambda tx: active_segments(tx, then)) if then.aggregates else None
    definitions = current.definitions if current else Definitions({})
    for name, rule in definitions.rules.items():
        yield from ((name, one) for one in unfit(rule))
        try:
            definitions.check(name, rule)
        except InvalidRule as e:
            yield name, e


EVERY_PROFILE = Compiled("true", {})
NUMBER = frozenset({TraitType.NUMBER})


def _replaceable(name: str, old: Segment | None, expected: int | None) -> None:
    if old and not old.rule:
        raise InvalidRule("NAME_TAKEN", f"the segment {name} is just being deleted; try again in a moment", ("name",))
    if old and expected is None:
        message = f"there is a segment {name}; send expectedVersion {old.version} to replace its definition"
        raise InvalidRule("NAME_TAKEN", message, ("name",))
    if expected is not None and expected != (old.version if old else 0):
        found = f"is at version {old.version}" if old else "does not exist"
        raise InvalidRule("CONFLICT", f"the segment {name} {found}; look at it again", ("expectedVersion",))


def _unknown(name: str, definitions: Definitions) -> InvalidRule:
    return InvalidRule(
        "UNKNOWN_SEGMENT", f"there is no segment {name}{near(name, sorted(definitions.rules))}", ("name",)
    )
