"""Other rules for a graph that is in use: what was decided by the former ones is decided again.

The new rules hold from the start for whoever writes: a process that still has the former ones is told so by the write
protocol. Then all evidence is verified by the new rules, as :mod:`identity_graph.services.verify` does, and wherever it
finds something, that is resolved again by the write protocol, some people at a time; until it finds nothing more. So it
may be stopped at any moment and done again, others may write meanwhile, and a graph is only written where it differs.

Identifiers stay as they were normalised. Rows of records and events stay with the identifier that they were anchored
by; where that is junk now, they are nobody's, as it is.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from identity_graph.domain.decision import ACTIVE, BLOCKED, NOTHING_STATED, SHARED
from identity_graph.domain.evidence import Key
from identity_graph.domain.partition import is_crowded, partner_that_counts, proof_of_sharing
from identity_graph.domain.rules import NamespaceClass, NamespaceRule, Normaliser, Rules
from identity_graph.services.active_rules import Followed, OtherRules, followed
from identity_graph.services.live import show_again
from identity_graph.services.observe import Cause, Clock, as_text, new_id, state
from identity_graph.services.segments import Segments, due_by_rules, unanswered
from identity_graph.services.stewardship import before_changes
from identity_graph.services.verify import broken
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph, Transaction

#: Identifiers that one transaction resolves again, with all that belong to them; more where they are one person's.
TOGETHER = 100
#: Profiles whose golden records one transaction looks at.
PAGE = 500
#: Seconds between two looks at a graph that others use.
PAUSE = 1.0

#: Gets what is being done, and of how many more.
Told = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done: people that were resolved again, and profiles whose golden record shows something else."""

    resolved: int
    shown: int


def expect_applicable(graph: Graph, then: Rules) -> None:
    """Raises :class:`OtherRules` where identifiers are stored in a form that these rules would not give them, and where
    a segment asks of an aggregate what it cannot answer once they declare it."""
    now = followed(graph)
    if now is None:
        return
    for (name,) in sorted(graph.read("rules/namespaces", timeout=LONG_READ_TIMEOUT)):
        one, other = now.rules.rule(name), then.rule(name)
        by_region = Normaliser.PHONE in (one.normaliser, other.normaliser)
        changed = {
            "normaliser": one.normaliser != other.normaliser,
            "cleaning": (one.clean, one.patterns, one.values) != (other.clean, other.patterns, other.values),
            "default_region": by_region and now.rules.default_region != then.default_region,
            "class": (one.is_device, _is_record(one)) != (other.is_device, _is_record(other)),
        }
        for what in (what for what, differs in changed.items() if differs):
            raise OtherRules(
                f"the {what} of {name} cannot be changed in this graph, which holds identifiers of it as they were "
                "normalised; load the data into a graph of its own"
            )
    for name, why in unanswered(graph, then):
        message = f"the segment {name} could not be asked any more: {'.'.join(why.path)}: {why}"
        raise OtherRules(f"{message}; define it anew or delete it, or give the aggregate another name")


def _is_record(rule: NamespaceRule) -> bool:
    return rule.cls is NamespaceClass.RECORD


def former_rules(graph: Graph) -> Rules:
    """The rules that the graph followed before the present ones; after going back to some, those before these. Where
    going back was stopped, what it goes back to.

    Raises :class:`OtherRules` where there were none.
    """
    now, step = followed(graph), _last_step(graph)
    if now and now.undoes and not now.settled:
        return now.rules
    if step is None:
        raise OtherRules("the graph follows its first rules; there are none to go back to")
    return step.before


@dataclass(frozen=True, slots=True)
class _Step:
    """An act by which others took the place of the rules ``before``."""

    before: Rules
    act: str


def _last_step(graph: Graph) -> _Step | None:
    """The last one that was not taken back."""
    steps: list[_Step] = []
    for _, _, text, act, undoes in graph.read("rules/history", timeout=LONG_READ_TIMEOUT):
        if undoes:
            steps.pop()
        else:
            steps.append(_Step(Rules.from_json(text), act))
    return steps[-1] if steps else None


def apply_rules(
    graph: Graph, then: Rules, clock: Clock, actor: str, reason: str, told: Told, patience: float = 0.0
) -> Applied:
    """Let a graph follow these rules, and decide by them whatever is stored.

    If it was stopped, the same again goes on. To come back to the former rules takes their act back: profiles that
    it ended come back under their own ids. Others may be writing by the former rules for up to ``patience`` seconds.

    Raises :class:`OtherRules` and a :class:`StoreError`.
    """
    expect_applicable(graph, then)
    begun = time.monotonic()
    now = followed(graph)
    if now is None or now.rules.version != then.version:
        step = _last_step(graph)
        undoes = step.act if step and step.before.version == then.version else None
        said = {"act": new_id(), "actor": actor, "reason": reason, "undoes": undoes}
        at = clock()
        before = now.rules if now else Rules()

        def activate(tx: Transaction) -> None:
            due_by_rules(tx, before, then, at)
            tx.do("rules/activate", version=then.version, text=then.as_json(), at=at, **said)

        graph.write(activate)
        now = followed(graph)
    if now is None or now.settled:
        return Applied(0, 0)
    applying = _Applying(graph, now, clock, told)
    resolved = 0
    while True:
        last = time.monotonic() - begun >= patience
        more = applying.resolve_all()
        resolved += more
        if last and not more:
            break
        if not more:
            time.sleep(PAUSE)
    shown = applying.show_all()
    told("evaluating segments", 0)
    Segments(graph, then, clock).catch_up()
    graph.write(lambda tx: tx.do("rules/settle", version=then.version, at=clock()))
    return Applied(resolved, shown)


class _Applying:
    def __init__(self, graph: Graph, now: Followed, clock: Clock, told: Told) -> None:
        self.graph, self.rules, self.undoes = graph, now.rules, now.undoes
        self.clock, self.told = clock, told
        self.cause = Cause("RULES", now.actor, now.reason, now.act)

    def resolve_all(self) -> int:
        """Resolve again whatever does not follow from the evidence; how many people were touched by that."""
        self.told("verifying", 0)
        resolved = 0
        for keys in _batches(broken(self.graph, self.rules)):
            changed, _ = self.graph.write(lambda tx, keys=keys: self._resolve(tx, keys), timeout=LONG_READ_TIMEOUT)
            resolved += changed
            self.told("resolving", changed)
        return resolved

    def _resolve(self, tx: Transaction, keys: list[Key]) -> int:
        """Decide again about these identifiers and all evidence around them; how many profiles changed."""
        held = self._hold(tx, keys)
        at = self.clock()
        states = {key: self._state_of(key, met) for key, (*_, met) in held.items()}
        restated = [[row[0], *states[key]] for key, row in held.items() if states[key] != row[1:3]]
        if admitted := [key for key, row in held.items() if states[key][0] != BLOCKED and not row[3]]:
            self._admit(tx, {key: held[key][0] for key in admitted}, at)
        if restated:
            tx.do("rules/restate", rows=restated, at=at, **self._said())
        gone = frozenset(key for key, row in held.items() if states[key][0] == BLOCKED and row[3])
        again = frozenset(key for key in held if states[key][0] != BLOCKED)
        profiles = {row[3] for row in held.values() if row[3]}
        before = NOTHING_STATED
        if self.undoes:
            before = before_changes(tx, tx.one("rules/acts", act=self.undoes, elements=sorted(profiles)))
        stated = replace(before, again=again, gone=gone)
        written = state(tx, stated, self.rules, self.clock, lambda: True, self.cause)
        if written is None:
            raise StaleRead("what is resolved again changed")
        if gone:
            parties = profiles | {written.element[id] for id in written.home.values()}
            row = [new_id(), "BLOCKED", None, None, sorted(gone), [[element, "PARTY"] for element in sorted(parties)]]
            tx.do("change/create", rows=[row], at=written.at, cause="RULES", **self._said())
        return sum(profile.changed for profile in written.plan.profiles.values()) or len(restated)

    def _hold(self, tx: Transaction, keys: list[Key]) -> dict[Key, tuple[str, str, str | None, str | None, list[Key]]]:
        """Hold identifiers with their profiles: element, state, partners, element of the profile, who was met."""
        before = tx.one("rules/hold", keys=keys)
        tx.one("profile/lock", elements=sorted({row[4] for row in before if row[4]}))
        held = tx.one("rules/hold", keys=keys)
        if [row[:5] for row in held] != [row[:5] for row in before]:
            raise StaleRead("a profile changed between reading and locking")
        return {row[0]: tuple(row[1:]) for row in held}

    def _state_of(self, key: Key, met: Iterable[Key]) -> tuple[str, str | None]:
        """State and partners of an identifier, from those that it was observed with."""
        if self.rules.is_blocked_key(key):
            return BLOCKED, None
        counted = {o for o in met if partner_that_counts(key, o, self.rules) and not self.rules.is_blocked_key(o)}
        if is_crowded(key, counted, self.rules):
            return SHARED, as_text(proof_of_sharing(key, counted, self.rules))
        return ACTIVE, as_text(sorted(counted))

    def _admit(self, tx: Transaction, admitted: Mapping[Key, str], at: int) -> None:
        """Identifiers that are junk no more: into the profile that was erased when they left it, or into new ones."""
        erased = dict(tx.one("rules/erased", elements=list(admitted.values())))
        into: dict[str, list[tuple[Key, str]]] = defaultdict(list)
        for key, element in admitted.items():
            into[erased.get(element) or new_id()].append((key, element))
        rows: list[list[object]] = []
        for id, members in sorted(into.items()):
            keys = sorted(key for key, _ in members)
            limited = as_text(filter(self.rules.counted_with, keys))
            rows.append([id, [element for _, element in members], limited, keys, new_id()])
        tx.do("rules/admit", rows=rows, at=at, **self._said())

    def _said(self) -> dict[str, str | None]:
        by = self.cause
        return {"act": by.act, "actor": by.actor, "reason": by.reason, "rules": self.rules.version}

    # ------------------------------------------------------------------------------------------------ golden records

    def show_all(self) -> int:
        """Let every profile show what its records amount to; how many show something else.

        The former rules do not tell whether there is any need: they may have been stopped before they came to this.
        """
        after, shown = "", 0
        while page := self.graph.read("rules/shown", after=after, limit=PAGE, timeout=LONG_READ_TIMEOUT)[0][0]:
            elements = sorted(element for _, element in page)
            shown += self.graph.write(lambda tx, elements=elements: self._show(tx, elements))[0]
            after = page[-1][0]
            self.told("showing", len(page))
        return shown

    def _show(self, tx: Transaction, elements: list[str]) -> int:
        tx.one("profile/lock", elements=elements)
        return show_again(tx, elements, self.rules, self.clock())


def _batches(people: Iterable[list[Key]]) -> Iterator[list[Key]]:
    batch: list[Key] = []
    for keys in people:
        if batch and len(batch) + len(keys) > TOGETHER:
            yield batch
            batch = []
        batch += keys
    if batch:
        yield batch
