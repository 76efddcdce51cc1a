"""A person's word on a trait: it comes before what all records say, until it is taken back.

It is anchored by the profile's strongest identifier, as a record is, so it goes where the person goes when profiles
merge or split. Undoing an act says again what the act had ended, as it was said then.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from identity_graph.domain.decision import Change, ProfileRef
from identity_graph.domain.evidence import Key
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import says_nothing
from identity_graph.services.declined import Declined
from identity_graph.services.live import show_again
from identity_graph.services.observe import Cause, Clock, Row, new_id
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import Transaction

STEWARD = "steward"
OVERRIDE_SET, OVERRIDE_REMOVED = "OVERRIDE_SET", "OVERRIDE_REMOVED"
MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Override:
    """What is said of a trait; without a value it is taken back."""

    trait: str
    value: Any

    def check(self, rules: Rules) -> None:
        """Raises :class:`Declined` where nobody may say that."""
        if not 1 <= len(self.trait) <= MAX_NAME or not self.trait.isprintable():
            raise Declined("INVALID_TRAIT", f"The name of a trait has 1 to {MAX_NAME} printable characters.")
        if self.value is not None and self.trait in rules.aggregates:
            raise Declined("INVALID_TRAIT", f"The rules declare {self.trait} as what events add up to.")
        if self.value is not None and says_nothing(self.value):
            raise Declined("INVALID_VALUE", "A blank text says nothing; remove the override instead.")
        if len(orjson.dumps(self.value)) > rules.limits.trait_bytes:
            raise Declined("PAYLOAD_TOO_LARGE", f"A value has at most {rules.limits.trait_bytes} bytes of JSON.")


@dataclass(frozen=True, slots=True)
class _Said:
    """An override of an act: ``set`` by it, or ended by it. ``profile`` is the element of its anchor's, if any.

    ``ended_by`` is the act that ended it, which ``undone`` tells of an undo.
    """

    element: str
    set: bool
    ended_by: str | None
    undone: bool
    trait: str
    traits: str
    observed_at: int
    actor: str
    reason: str
    anchor: Key
    profile: str | None


class Overriding:
    """One act on overrides, in its transaction; both return the profile as it is now, and the act's change."""

    def __init__(self, tx: Transaction, rules: Rules, clock: Clock, cause: Cause) -> None:
        self.tx, self.rules, self.clock, self.cause = tx, rules, clock, cause

    def say(self, profile: str, said: Override, anchor: Key | None) -> tuple[ProfileRef, Change]:
        """Of a profile, by its element, which the transaction holds. ``anchor`` is its strongest identifier.

        Raises :class:`Declined`.
        """
        at = self.clock()
        standing = [row[0] for row in self.tx.one("override/standing", element=profile, trait=said.trait)]
        if anchor is None and not standing:
            raise Declined("NO_OVERRIDE", f"Nobody set the trait {said.trait} of this profile.")
        self._end(standing, at, None)
        if anchor is not None:
            traits = orjson.dumps({said.trait: said.value}, option=orjson.OPT_SORT_KEYS).decode()
            self._set([[new_id(), said.trait, traits, at, self.cause.actor, self.cause.reason, anchor]], at, None)
        return self._told(OVERRIDE_REMOVED if anchor is None else OVERRIDE_SET, [profile], at)

    def take_back(self, act: str) -> tuple[ProfileRef, Change] | None:
        """End what an act set, and say again what it ended. None where it did neither.

        Raises :class:`Declined` and :class:`StaleRead`.
        """
        said = self._of_act(act)
        if not said:
            return None
        profiles = sorted({one.profile for one in said if one.profile})
        if not profiles:
            raise Declined("NOTHING_TO_UNDO", "What this was said of is a junk value by now, and nobody's.")
        self.tx.one("profile/lock", elements=profiles)
        if self._of_act(act) != said:
            raise StaleRead("what was said changed between reading and locking")
        self._expect_last(act, said, profiles)
        at = self.clock()
        self._end([one.element for one in said if one.set], at, act)
        again = [one for one in said if not one.set and one.profile]
        rows = [[new_id(), o.trait, o.traits, o.observed_at, o.actor, o.reason, o.anchor] for o in again]
        if rows:
            self._set(rows, at, act)
        return self._told(OVERRIDE_SET if rows else OVERRIDE_REMOVED, profiles, at)

    def _expect_last(self, act: str, said: Collection[_Said], profiles: Sequence[str]) -> None:
        """What the act said stands still; where it said nothing, nobody else has since."""
        later = {one.ended_by: one.undone for one in said if one.set and one.ended_by}
        if not any(one.set for one in said):
            for profile in profiles:
                for trait in sorted({one.trait for one in said}):
                    standing = self.tx.one("override/standing", element=profile, trait=trait)
                    later |= {by: undoes == act for _, by, undoes in standing}
        if any(later.values()):
            raise Declined("ALREADY_UNDONE", "This was taken back before.")
        for change in self.tx.one("change/of_act", act=next(iter(later), "")):
            raise Declined("SUPERSEDED", f"Another word on this trait came after it: undo the change {change} first.")

    def _of_act(self, act: str) -> list[_Said]:
        return [_Said(*row) for row in self.tx.one("override/of_act", act=act)]

    def _end(self, elements: Sequence[str], at: int, undoes: str | None) -> None:
        if elements:
            self.tx.do("override/end", elements=elements, act=self.cause.act, at=at, undoes=undoes)

    def _set(self, rows: list[Row], at: int, undoes: str | None) -> None:
        self.tx.do("override/set", rows=rows, act=self.cause.act, at=at, undoes=undoes)

    def _told(self, kind: str, profiles: Sequence[str], at: int) -> tuple[ProfileRef, Change]:
        """Let profiles show what is said of them, and write the act's change."""
        tx, by = self.tx, self.cause
        show_again(tx, profiles, self.rules, at)
        change = new_id()
        row = [change, kind, None, None, [], [[element, "PARTY"] for element in profiles]]
        said = {"cause": by.kind, "act": by.act, "actor": by.actor, "reason": by.reason, "rules": self.rules.version}
        tx.do("change/create", rows=[row], at=at, **said)
        held = tx.one("profile/lock", elements=profiles)
        _, id, _, size, version, *_ = held[0]
        parties = tuple((row[1], "PARTY") for row in held)
        return ProfileRef(id, size, version), Change(change, kind, None, None, (), parties)
