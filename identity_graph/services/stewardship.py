"""What people decide: merges, splits, cannot-links, and taking any of it back.

An act is one decision in one transaction. Its changes and cannot-links carry the act's id, so taking it back finds all
of it. Undoing a merge keeps apart what the merge brought together, side by side: the evidence for it stays, is refused
from then on, and so is whatever arrives again.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from identity_graph.domain.assignment import standing
from identity_graph.domain.decision import (
    NOTHING_STATED,
    Change,
    Claim,
    KnownProfile,
    ProfileRef,
    RefusedLink,
    Stated,
    created_change_id,
)
from identity_graph.domain.evidence import CannotLink, Key, LinkKind, Refusal, link_id
from identity_graph.domain.matches import RETRACTED
from identity_graph.domain.rules import Rules
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import END_OF_TIME
from identity_graph.services.match_records import Matching
from identity_graph.services.observe import Cause, Clock, Picture, Prepare, Told, Written, known_profile, new_id, state
from identity_graph.services.overrides import Override, Overriding
from identity_graph.services.retraction import Retracting, hold_observations, judged_to_refuse
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph, Transaction

T = TypeVar("T")

CANNOT_LINK_SET, CANNOT_LINK_REMOVED = "CANNOT_LINK_SET", "CANNOT_LINK_REMOVED"
LINK_ASSERTED, LINK_WITHDRAWN = "LINK_ASSERTED", "LINK_WITHDRAWN"
#: Profiles that one merge may join.
MOST_MERGED = 10
#: Observations that one act may take back.
MOST_RETRACTED = 500


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did: the profile it was about, as it is now, and every change. None where it was of junk values.

    ``held_back`` are links that do not conduct from now on, or for another reason than before, by id; at most
    :data:`MOST_HELD_BACK`.
    """

    profile: ProfileRef | None
    changes: tuple[Change, ...]
    held_back: tuple[RefusedLink, ...]


@dataclass(frozen=True, slots=True)
class Merges:
    """Merges that links brought about and that are not undone: by links of a source, of a model's version, of an
    identifier; from a moment on and before another (microseconds since 1970). None says nothing of it.
    """

    source: str | None = None
    model: str | None = None
    key: Key | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Observations:
    """Which observations: these, or those of a source, or those that support a link; one of the three."""

    ids: tuple[str, ...] = ()
    source: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Retracted:
    """What was done, of how many observations, and how many there are besides."""

    done: Done
    observations: int
    remaining: int


@dataclass(frozen=True, slots=True)
class _Stored:
    """A profile to which an id leads, and the identifiers in it that are one person's, each with its first sight."""

    id: str
    element: str
    version: int
    size: int
    keys: dict[Key, int]


def read_cannot_links(graph: Graph) -> list[CannotLink]:
    """Every cannot-link that holds."""
    return [_cannot_link(*row) for row in graph.stream("verify/cannot_links")]


def before_changes(tx: Transaction, changes: Sequence[str], picture: Picture | None = None) -> Stated:
    """Whose members were whose before these changes: of profiles that ended in them, and of those that live.

    The ``picture`` gets to know those that ended.
    """
    restored: list[tuple[KnownProfile, frozenset[Key]]] = []
    former: dict[str, frozenset[Key]] = {}
    for id, lost, keys, over, *known in tx.one("change/before", ids=list(changes)):
        if keys and lost and over:
            restored.append((known_profile(known), frozenset(keys)))
            if picture:
                picture.know(known)
        elif keys:
            former[id] = frozenset(keys)
    return Stated(restored=tuple(restored), former=former)


class Stewards:
    """Acts of people. Each returns what was done and a consistency token, which is empty after a dry run.

    All raise :class:`Declined` and a :class:`StoreError`.
    """

    def __init__(self, graph: Graph, rules: Rules, clock: Clock, matching: Matching | None = None) -> None:
        self._graph, self._rules, self._clock, self._matching = graph, rules, clock, matching

    def _act(self, actor: str, reason: str, dry_run: bool, work: "Callable[[Act], T]") -> tuple[T, str]:
        return self._graph.write(lambda tx: work(Act(tx, self._rules, self._clock, actor, reason)), dry_run=dry_run)

    def _unhurried(self, actor: str, reason: str, dry_run: bool, work: "Callable[[Act], T]") -> tuple[T, str]:
        """An act that may look at all observations, and let records have other rows."""
        model = self._matching.active() if self._matching else None
        prepare = self._matching.preparing(model) if self._matching and model else None

        def run(tx: Transaction) -> T:
            return work(Act(tx, self._rules, self._clock, actor, reason, prepare))

        try:
            return self._graph.write(run, dry_run=dry_run, timeout=LONG_READ_TIMEOUT)
        finally:
            if self._matching:
                self._matching.behind = True

    def merge(
        self, ids: Sequence[str], expected: int | None, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Done, str]:
        """Make these profiles one. ``expected`` is the version of the first."""
        return self._act(actor, reason, dry_run, lambda act: act.merge(ids, expected))

    def split(
        self,
        id: str,
        keys: Collection[Key],
        expected: int | None,
        actor: str,
        reason: str,
        *,
        dry_run: bool = False,
    ) -> tuple[Done, str]:
        """Keep these identifiers of a profile apart from its others."""
        return self._act(actor, reason, dry_run, lambda act: act.split(id, keys, expected))

    def undo(
        self, change: str, expected: int | None, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Done, str]:
        """Take a change back, and keep it so. ``expected`` is the version of the profile that it made or kept; where
        it has only parties, of the one with the least id.
        """
        return self._unhurried(actor, reason, dry_run, lambda act: act.undo(change, expected))

    def retract(
        self, some: Observations, first: int, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Retracted, str]:
        """Take observations back, as if they had never been made; of a source or a link only the ``first`` ones."""
        return self._unhurried(actor, reason, dry_run, lambda act: act.retract(some, first))

    def merges(self, some: Merges, first: int, after: tuple[int, str] | None) -> tuple[list[tuple[int, str]], int]:
        """Moments and ids of such merges, newest first, and how many there are from here on.

        ``after`` is the last one of the page before.
        """
        return self._newest("change/merges", first, after, **asdict(some))

    def retractions(self, source: str, first: int, after: tuple[int, str] | None) -> tuple[list[tuple[int, str]], int]:
        """The same of retractions of which observations of a source are still taken back."""
        return self._newest("change/retractions", first, after, source=source)

    def _newest(
        self, name: str, first: int, after: tuple[int, str] | None, **asked: Any
    ) -> tuple[list[tuple[int, str]], int]:
        at, id = after or (END_OF_TIME, "")
        ((total, rows),) = self._graph.read(name, timeout=LONG_READ_TIMEOUT, **asked, at=at, id=id, limit=first)
        return [(at, id) for at, id in rows], total

    def set_cannot_link(
        self, a: Key, b: Key, expected: int | None, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Done, str]:
        """These two are never one person. ``expected`` is the version of the first one's profile."""
        return self._act(actor, reason, dry_run, lambda act: act.set_cannot_link(a, b, expected))

    def remove_cannot_link(
        self, a: Key, b: Key, expected: int | None, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Done, str]:
        """Let these two be one person again, where the evidence says so."""
        return self._act(actor, reason, dry_run, lambda act: act.remove_cannot_link(a, b, expected))

    def override(
        self, id: str, said: Override, expected: int | None, actor: str, reason: str, *, dry_run: bool = False
    ) -> tuple[Done, str]:
        """Let a profile show this value of a trait, or without one again what its records say."""
        said.check(self._rules)
        return self._act(actor, reason, dry_run, lambda act: act.override(id, said, expected))


class Act:
    """One decision of a person, in its transaction."""

    def __init__(
        self,
        tx: Transaction,
        rules: Rules,
        clock: Clock,
        actor: str,
        reason: str,
        prepare: Prepare | None = None,
    ) -> None:
        self.id = new_id()
        self.tx, self.rules, self.clock, self.prepare = tx, rules, clock, prepare
        self.cause = Cause("STEWARD", actor, reason, self.id)

    def merge(self, ids: Sequence[str], expected: int | None) -> Done:
        if not 2 <= len(ids) <= MOST_MERGED:
            raise Declined("INVALID_PROFILES", f"profileIds has 2 to {MOST_MERGED} items, this one has {len(ids)}.")
        self._expect(ids[0], expected)
        profiles = list({p.id: p for p in self._profiles(ids)}.values())
        if len(profiles) < 2:
            raise Declined("NOTHING_TO_MERGE", f"These are one profile already: {profiles[0].id}.")
        first, *others = [self._strongest(p) for p in profiles]
        written = self.join([(first, other) for other in others])
        return self._done(written, first)

    def split(self, id: str, keys: Collection[Key], expected: int | None) -> Done:
        profile = self._held(id, expected)
        members = set(self.tx.one("profile/keys", id=profile.id))
        strangers = sorted(set(keys) - members)
        if strangers or not keys:
            what = f"{' and '.join(strangers)} is none" if strangers else "identifiers is empty; name some"
            raise Declined("NOT_A_MEMBER", f"{what} of the identifiers of the profile {profile.id}.")
        rest = members - set(keys)
        if not rest:
            raise Declined("NOTHING_TO_SPLIT", "These are all identifiers of the profile; leave at least one.")
        written = self.keep_apart([CannotLink(new_id(), frozenset(keys), frozenset(rest))])
        return self._done(written, min(rest))

    def set_cannot_link(self, a: Key, b: Key, expected: int | None) -> Done:
        self._expect_home(a, b, expected)
        if self._between(a, b):
            raise Declined("ALREADY_APART", f"{a} and {b} are kept apart already.")
        apart = [CannotLink(new_id(), frozenset((a,)), frozenset((b,)))]
        written = self.keep_apart(apart, still_so=lambda: not self._between(a, b))
        pushed_aside = [id for id, refusal in written.plan.judged if refusal]
        for one, other, actor, change in self.tx.one("link/asserted", ids=pushed_aside):
            advice = f"undo the change {change} instead" if change else "split them instead"
            raise Declined("ASSERTED", f"{actor} said that {one} and {other} are one person; {advice}.")
        return self._done(written, a)

    def remove_cannot_link(self, a: Key, b: Key, expected: int | None) -> Done:
        self._expect_home(a, b, expected)
        found = self._between(a, b)
        if not found:
            raise Declined("NO_CANNOT_LINK", f"Nobody said that {a} and {b} are two people.")
        return self._done(self.lift(found), a)

    def override(self, id: str, said: Override, expected: int | None) -> Done:
        profile = self._held(id, expected)
        anchor = None if said.value is None else self._strongest(profile)
        now, change = self._overriding().say(profile.element, said, anchor)
        return Done(now, (change,), ())

    def _overriding(self) -> Overriding:
        return Overriding(self.tx, self.rules, self.clock, self.cause)

    def undo(self, change: str, expected: int | None) -> Done:
        self.tx.do("change/hold", id=change)
        created, rows = change.removeprefix(created_change_id("")), self.tx.one("change/undoing", id=change)
        if created != change and self.tx.one("lineage/creations", ids=[created]):
            raise Declined("NOT_UNDOABLE", "A profile begins with what was observed; retract the observation instead.")
        if not rows:
            raise Declined("UNKNOWN_CHANGE", f"There is no change {change}.")
        kind, act, moved, roles, before, undone, link, withdrawn = rows[0]
        if roles:
            self._expect(min([id for id, role in roles if role in _STAYED] or [id for id, _ in roles]), expected)
        if act and (back := self._retracted_or_restored(act)):
            return back
        if act and (said := self.tx.one("cannot_link/of_act", act=act)):
            return self._take_back(act, said)
        if act and (taken := self._overriding().take_back(act)):
            now, told = taken
            return Done(now, (told,), ())
        if withdrawn:
            return self._say_again(act, withdrawn)
        match kind:
            case "LINK_ASSERTED":
                return self._withdraw(act, link)
            case "RETRACTED" | "RESTORED":
                raise Declined("ALREADY_UNDONE", "This was taken back before.")
            case "RULES_CHANGED" | "BLOCKED" | "UNBLOCKED":
                raise Declined("NOT_UNDOABLE", "This follows from the rules: apply others, or the ones before.")
            case "MODEL_CHANGED":
                raise Declined("NOT_UNDOABLE", "Activate another model, or the one before.")
            case "LINK_REFUSED" | "LINK_ACCEPTED":
                raise Declined(
                    "NOT_UNDOABLE", "This follows from the evidence: undo what it came with, or retract some."
                )
            case "MERGED" | "MOVED":
                if undone:
                    raise Declined("ALREADY_UNDONE", "This was undone before, and is kept so.")
                return self._separate(change, frozenset(moved), frozenset(before) - set(moved))
            case _:
                profiles = self._profiles([id for id, _ in roles])
                if len({p.id for p in profiles}) < 2:
                    raise Declined("ALREADY_UNDONE", "These profiles are one again already.")
                return self.merge([p.id for p in profiles], None)

    def retract(self, some: Observations, first: int) -> Retracted:
        ids, total = list(some.ids), len(some.ids)
        if some.source is not None:
            ((total, ids),) = self.tx.run("retraction/of_source", source=some.source, limit=first)
        elif some.link is not None:
            self._expect_observed(some.link)
            ((total, ids),) = self.tx.run("retraction/of_link", id=some.link, limit=first)
        if not ids:
            raise Declined("NOTHING_TO_RETRACT", "No observation of these stands.")
        return Retracted(self._retract(ids), len(ids), total - len(ids))

    def _retract(self, ids: Sequence[str], before: Stated = NOTHING_STATED) -> Done:
        rows = {row[0]: row for row in hold_observations(self.tx, ids)}
        for id in ids:
            if id not in rows:
                raise Declined("UNKNOWN_OBSERVATION", f"There is no observation {id}.")
            if rows[id][5]:
                raise Declined("ALREADY_RETRACTED", f"The observation {id} was retracted before.")
        retracting = Retracting(self.tx, self.rules, self.clock, self.cause)
        return Done(*retracting.retract(list(rows.values()), before))

    def _expect_observed(self, link: str) -> None:
        rows = self.tx.one("link/details", ids=[link])
        if not rows:
            raise Declined("UNKNOWN_LINK", f"There is no link {link}.")
        match rows[0][3]:
            case LinkKind.OBSERVED:
                return
            case LinkKind.MATCHED:
                advice = "A matched link follows from two records: keep its ends apart instead."
            case _:
                advice = "This link is a person's word: undo the change that it made instead."
        raise Declined("NOT_RETRACTABLE", advice)

    def _retracted_or_restored(self, act: str) -> Done | None:
        """Bring back what an act retracted, or retract what one brought back."""
        ((retracted, restored),) = self.tx.run("retraction/of_act", act=act)
        if not (retracted or restored):
            return None
        before = before_changes(self.tx, self.tx.one("change/of_act", act=act))
        if retracted:
            again = Retracting(self.tx, self.rules, self.clock, self.cause)
            return Done(*again.restore(retracted, before, self.prepare))
        return self._retract(restored, before)

    def _take_back(self, act: str, said: list[list[Any]]) -> Done:
        """Undo what a person said of cannot-links: lift those that were set, set those that were lifted."""
        before = before_changes(self.tx, self.tx.one("change/of_act", act=act))
        were_set = [_cannot_link(id, one, other) for id, made, holds, one, other in said if made and holds]
        lifted = [CannotLink(new_id(), frozenset(one), frozenset(other)) for _, made, _, one, other in said if not made]
        if were_set:
            written = self.lift(were_set, before)
        elif lifted and not self.tx.one("cannot_link/undoing", of=act):
            written = self.keep_apart(lifted, undoes=act, before=before)
        else:
            raise Declined("ALREADY_UNDONE", "This was taken back before.")
        return self._done(written, min((were_set or lifted)[0].one))

    def _withdraw(self, act: str, link: str) -> Done:
        """Undo a person's word on a link that an act gave last."""
        a, b, actor, first, last, count = self._word(act, link)
        claim = Claim(link, a, b, actor, first, last, count, None, None, LinkKind.ASSERTED)
        before = before_changes(self.tx, self.tx.one("change/of_act", act=act))
        told = Told(LINK_WITHDRAWN, frozenset((a, b)), link)
        written = self._state(replace(before, withdrawn=(claim,)), lambda: bool(self._word(act, link)), [told])
        self.tx.do("link/withdraw", id=link, act=self.id)
        self.tx.do("proposal/settle", rows=[[[written.element[a]], [written.element[b]]]])
        return self._done(written, a)

    def _say_again(self, act: str, link: str) -> Done:
        """Undo that an act took a person's word on a link back."""
        a, b, *_ = self._word(act, link)
        before = before_changes(self.tx, self.tx.one("change/of_act", act=act))
        return self._done(self.join([(a, b)], lambda: bool(self._word(act, link)), before), a)

    def _word(self, act: str, link: str) -> tuple[Any, ...]:
        """Ends, actor, first, last and count of the word on a link, of which the act is the last."""
        for *word, latest in self.tx.run("link/word", id=link):
            if latest == act:
                return tuple(word)
            raise Declined("ALREADY_UNDONE", "This was taken back before.")
        raise Declined("NOTHING_TO_UNDO", "What this was said of was retracted since.")

    def _separate(self, change: str, one: frozenset[Key], other: frozenset[Key]) -> Done:
        """Undo what evidence brought together."""
        picture = Picture.of(self.tx, one | other)
        homes = {key: known.profile for key, known in picture.identifiers.items()}
        # What was retracted since is nobody's.
        one, other = one & homes.keys(), other & homes.keys()
        meet = {homes[key] for key in one} & {homes[key] for key in other} - {None}
        if not meet:
            raise Declined("NOTHING_TO_UNDO", "What this change brought together is apart by now.")
        apart = [CannotLink(new_id(), one, other)]
        before = before_changes(self.tx, [change], picture)
        written = self.keep_apart(apart, undoes=change, before=before, picture=picture)
        return self._done(written, min(key for key in other if homes[key] in meet))

    # ------------------------------------------------------------------------------------------ what acts are made of

    def join(
        self,
        pairs: Iterable[tuple[Key, Key]],
        still_so: Callable[[], bool] = lambda: True,
        before: Stated = NOTHING_STATED,
    ) -> Written:
        """Assert links; ``before`` as below. Declines where one cannot conduct, would push an observed one aside, or
        says of one profile what was said before.
        """
        at, actor = self.clock(), self.cause.actor or ""
        claims = [
            Claim(link_id(a, b, LinkKind.ASSERTED, ""), a, b, actor, at, at, 1, None, None, LinkKind.ASSERTED)
            for a, b in map(sorted, pairs)
        ]
        told = [Told(LINK_ASSERTED, frozenset((c.a, c.b)), c.id, alone=True) for c in claims]
        written = self._state(replace(before, claims=tuple(claims)), still_so, told)
        refused = (written.plan.refused.get(claim.id) for claim in claims)
        aside = (refusal for _, refusal in written.plan.judged)
        if refusal := next(filter(None, (*refused, *aside)), None):
            raise Declined(refusal.code, _advice(refusal))
        found = self.tx.one("link/find", ids=[claim.id for claim in claims])
        told_of = {change.link for change in written.plan.changes if change.kind == LINK_ASSERTED}
        if any(id in told_of and state != RETRACTED for id, _, state in found):
            raise Declined("ALREADY_DECIDED", "A person said before that these are one.")
        known = {id: element for id, element, _ in found}
        reason, act = self.cause.reason, self.id
        again = [[known[c.id], actor, reason] for c in claims if c.id in known]
        if again:
            self.tx.do("link/reassert", rows=again, act=act, at=written.at)
        element = written.element
        new = [[element[c.a], element[c.b], c.id, actor, reason] for c in claims if c.id not in known]
        if new:
            self.tx.do("link/assert", rows=new, act=act, at=written.at)
        self.tx.do("proposal/settle", rows=[[[element[c.a]], [element[c.b]]] for c in claims])
        return written

    def keep_apart(
        self,
        cannot_links: Sequence[CannotLink],
        *,
        undoes: str | None = None,
        before: Stated = NOTHING_STATED,
        still_so: Callable[[], bool] = lambda: True,
        picture: Picture | None = None,
    ) -> Written:
        """Set cannot-links. ``before`` is whose profiles were whose, where something is undone; ``picture`` is one of
        all that is kept apart.
        """
        told = [Told(CANNOT_LINK_SET, _keys(cannot_links))]
        written = self._state(replace(before, apart=tuple(cannot_links)), still_so, told, picture)
        sides = _sides(cannot_links, written)
        rows = [[c.id, *both] for c, both in zip(cannot_links, sides, strict=True)]
        self.tx.do("cannot_link/create", rows=rows, undoes=undoes, **self._said(written))
        self.tx.do("proposal/settle", rows=sides)
        return written

    def lift(self, cannot_links: Sequence[CannotLink], before: Stated = NOTHING_STATED) -> Written:
        """Let sides meet again that were kept apart; ``before`` as above."""
        ids = [c.id for c in cannot_links]
        told = [Told(CANNOT_LINK_REMOVED, _keys(cannot_links))]
        written = self._state(replace(before, lifted=tuple(cannot_links)), lambda: self._hold(ids), told)
        self.tx.do("cannot_link/lift", ids=ids, **self._said(written))
        self.tx.do("proposal/settle", rows=_sides(cannot_links, written))
        return written

    def _hold(self, ids: Sequence[str]) -> bool:
        return len(self.tx.one("cannot_link/holding", ids=ids)) == len(ids)

    def _state(
        self,
        stated: Stated,
        still_so: Callable[[], bool],
        told: Sequence[Told] = (),
        picture: Picture | None = None,
    ) -> Written:
        written = state(self.tx, stated, self.rules, self.clock, still_so, self.cause, told=told, picture=picture)
        if written is None:
            raise StaleRead("what this act was about changed")
        return written

    def _said(self, written: Written) -> dict[str, Any]:
        return {"at": written.at, "act": self.id, "actor": self.cause.actor, "reason": self.cause.reason}

    # ------------------------------------------------------------------------------------------------------- reading

    def _profiles(self, ids: Sequence[str]) -> list[_Stored]:
        found = {row[0]: _Stored(*row[1:5], keys=dict(row[5])) for row in self.tx.one("profile/strongest", ids=ids)}
        for id in ids:
            if id not in found:
                raise Declined("UNKNOWN_PROFILE", f"There is no profile {id}.")
        return [found[id] for id in ids]

    def _expect(self, id: str, version: int | None) -> None:
        if version is not None:
            self._held(id, version)

    def _held(self, id: str, expected: int | None) -> _Stored:
        """The profile to which an id leads. Nobody else changes it until the commit, so it is compared only once."""
        (before,) = self._profiles([id])
        self.tx.one("profile/lock", elements=[before.element])
        (profile,) = self._profiles([id])
        if profile.id != before.id:
            raise StaleRead("the profile was just merged")
        if expected not in (None, profile.version):
            raise Declined(
                "CONFLICT",
                f"The profile {profile.id} has version {profile.version} by now, not {expected}: look again.",
            )
        return profile

    def _strongest(self, profile: _Stored) -> Key:
        if not profile.size:
            raise erased(profile.id)
        if not profile.keys:
            raise Declined("SHARED_IDENTIFIER", f"The profile {profile.id} is a shared identifier, and nobody's own.")
        return min(profile.keys, key=lambda key: standing(key, profile.keys[key], self.rules))

    def _between(self, a: Key, b: Key) -> list[CannotLink]:
        return [_cannot_link(*row) for row in self.tx.one("cannot_link/between", one=a, other=b)]

    def _expect_home(self, a: Key, b: Key, expected: int | None) -> None:
        if a == b:
            raise Declined("SAME_IDENTIFIER", f"{a} is one identifier; name two.")
        found = {row[0]: row for row in self.tx.one("identifier/find", keys=[a, b])}
        for key in (a, b):
            if key not in found:
                raise Declined("UNKNOWN_IDENTIFIER", f"{key} was never observed.")
            if found[key][5] is None:
                raise Declined("BLOCKED_VALUE", f"{key} is a junk value and identifies nobody.")
        self._expect(found[a][5], expected)

    def _done(self, written: Written, key: Key) -> Done:
        id = written.home[key]
        profile = written.plan.profiles.get(id) or self._profiles([id])[0]
        held_back = judged_to_refuse(self.tx, written.plan)
        return Done(ProfileRef(id, profile.size, profile.version), tuple(written.plan.changes), held_back)


#: Roles of profiles that are there after the change.
_STAYED = ("SURVIVOR", "TARGET", "CREATED", "RESTORED")


def erased(profile: str) -> Declined:
    return Declined("ERASED_PROFILE", f"The profile {profile} holds no identifier any more, so it is nobody's.")


def _keys(cannot_links: Iterable[CannotLink]) -> frozenset[Key]:
    return frozenset(key for cannot_link in cannot_links for key in cannot_link.keys)


def _sides(cannot_links: Iterable[CannotLink], written: Written) -> list[list[list[str]]]:
    """The elements of the identifiers of both sides."""
    return [[[written.element[key] for key in sorted(side)] for side in (c.one, c.other)] for c in cannot_links]


def _cannot_link(id: str, one: Iterable[Key], other: Iterable[Key]) -> CannotLink:
    return CannotLink(id, frozenset(one), frozenset(other))


def _advice(refusal: Refusal) -> str:
    if refusal.code == "CANNOT_LINK":
        return f"{refusal.message} Remove that cannot-link first, or undo the change that set it."
    return refusal.message
