"""What a batch of observations, or what the model or a person states, does to the graph: decided before it is written.

Two steps. :func:`survey` looks at the profiles that the batch touches and names those whose evidence component must be
read and resolved again; :func:`decide` turns everything into a :class:`Plan` of plain rows. Both are pure.

The fast path is the first fact of :mod:`identity_graph.domain.partition`: a group of profiles without refused links
whose whole union is allowed becomes one profile, whatever its links are. Everything else is resolved again, and only
its own component.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from identity_graph.domain.assignment import Assigned, Former, assign, standing
from identity_graph.domain.evidence import CannotLink, Key, Link, LinkKind, Observation, Refusal, RefusalCode
from identity_graph.domain.identifiers import Identifier, split_key
from identity_graph.domain.partition import (
    DisjointSets,
    Holding,
    components,
    is_crowded,
    kept_apart,
    partner_that_counts,
    proof_of_sharing,
    refused_by_ends,
    sides_of,
    unite,
)
from identity_graph.domain.rules import Rules

ACTIVE, SHARED, BLOCKED, REFUSED = "ACTIVE", "SHARED", "BLOCKED", "REFUSED"
#: Changes that tell of another verdict on a link.
VERDICTS = LINK_REFUSED, LINK_ACCEPTED = "LINK_REFUSED", "LINK_ACCEPTED"


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile as stored. ``limited`` are its keys of limited namespaces; ``refused`` counts its refused links."""

    id: str
    created_at: int
    size: int
    version: int
    refused: int
    guarded: bool
    limited: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class KnownIdentifier:
    """An identifier as stored; ``profile`` is None for a junk value."""

    state: str
    partners: tuple[Key, ...]
    profile: str | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a profile whose component is resolved again."""

    key: Key
    profile: str
    first_seen: int
    shared: bool


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link as stored, with its present verdict."""

    link: Link
    refusal: Refusal | None


@dataclass(slots=True)
class Component:
    """What was read of the evidence components that the survey asked for."""

    profiles: dict[str, KnownProfile] = field(default_factory=dict[str, KnownProfile])
    members: list[Member] = field(default_factory=list[Member])
    links: list[StoredLink] = field(default_factory=list[StoredLink])
    cannot_links: list[CannotLink] = field(default_factory=list[CannotLink])


@dataclass(slots=True)
class Sighting:
    """What the batch says of one identifier."""

    identifier: Identifier
    first_seen: int
    last_seen: int
    sources: set[str]
    state: str
    new: bool
    partners: set[Key] | None = None
    newly_shared: bool = False


@dataclass(slots=True)
class Claim:
    """What is said of one link, and the observation that said it first (None for the model's or a person's word).

    A matched claim that does not conduct is a proposal. ``whole``: it says all of an observed link, and adds nothing.
    """

    id: str
    a: Key
    b: Key
    source: str
    first_seen: int
    last_seen: int
    count: int
    observation: str | None
    refusal: Refusal | None = None
    kind: LinkKind = LinkKind.OBSERVED
    weight: float = 0.0
    conducts: bool = True
    whole: bool = False

    @property
    def link(self) -> Link:
        seen = (self.first_seen, self.last_seen, self.count)
        return Link(self.id, self.a, self.b, self.source, *seen, self.kind, self.weight, self.conducts)

    @property
    def joins(self) -> bool:
        return self.conducts and not self.refusal


@dataclass(frozen=True, slots=True)
class Stated:
    """What the model or a person says of known identifiers, beside any observation.

    ``claims`` may also restate what is stored, with another weight; ``demoted`` links took part until now and are
    proposals from now on. ``withdrawn`` ones hold no longer, and conduct as far as the stored ones took part.
    ``apart`` are sides that may not meet any more, ``lifted`` those that may again. ``restored`` are profiles that
    ended before, with the members that they had: each comes back where these members are by themselves again.
    ``former`` are the members that living profiles had, which decide where their ids go. ``again`` are identifiers
    whose evidence changed otherwise; ``gone`` are those that belong to nobody from now on.
    """

    claims: tuple[Claim, ...] = ()
    demoted: tuple[Claim, ...] = ()
    withdrawn: tuple[Claim, ...] = ()
    apart: tuple[CannotLink, ...] = ()
    lifted: tuple[CannotLink, ...] = ()
    restored: tuple[tuple[KnownProfile, frozenset[Key]], ...] = ()
    former: Mapping[str, frozenset[Key]] = field(default_factory=dict[str, frozenset[Key]])
    again: frozenset[Key] = frozenset()
    gone: frozenset[Key] = frozenset()

    @property
    def _of_sides(self) -> set[Key]:
        return {key for cannot_link in (*self.apart, *self.lifted) for key in cannot_link.keys}

    @property
    def unsettled(self) -> set[Key]:
        """The identifiers whose components cannot stay as they are without a look."""
        changed = (*self.demoted, *(claim for claim in self.withdrawn if claim.conducts))
        return {key for claim in changed for key in (claim.a, claim.b)} | self._of_sides | self.again | self.gone

    @property
    def keys(self) -> set[Key]:
        """All identifiers that it is about."""
        said = (*self.claims, *self.demoted, *self.withdrawn)
        return {key for claim in said for key in (claim.a, claim.b)} | self._of_sides | self.again | self.gone


NOTHING_STATED = Stated()


@dataclass(slots=True)
class Group:
    """Profiles and new identifiers that the batch's conducting claims join."""

    profiles: list[str] = field(default_factory=list[str])
    new: list[Key] = field(default_factory=list[Key])
    claims: list[Claim] = field(default_factory=list[Claim])
    seen: list[Key] = field(default_factory=list[Key])
    resolve: bool = False


@dataclass(slots=True)
class Survey:
    """The batch, gathered: ``groups`` to decide, ``lock`` the profiles to hold, ``read`` those to read whole.

    ``home`` is each conducting identifier's profile id, or the key itself where it is new; ``withdrawn`` are stored
    links that hold no longer. ``stated`` is what it was given of them and of cannot-links.
    """

    sightings: dict[Key, Sighting]
    claims: dict[str, Claim]
    withdrawn: dict[str, Claim]
    stated: Stated
    home: dict[Key, str]
    groups: list[Group]
    lock: list[str]
    read: list[str]


def survey(
    batch: Sequence[Observation],
    identifiers: Mapping[Key, KnownIdentifier],
    profiles: Mapping[str, KnownProfile],
    rules: Rules,
    stated: Stated = NOTHING_STATED,
) -> Survey:
    """Gather a batch of fresh observations, and what is stated of known identifiers; see what it touches."""
    sightings = _sightings(batch, identifiers)
    claims = _claims(batch)
    _share(sightings, claims, identifiers, rules)
    claims.update((claim.id, claim) for claim in (*stated.claims, *stated.demoted))
    unsettled = stated.unsettled
    state = {key: identifiers[key].state for key in stated.keys} | {key: s.state for key, s in sightings.items()}
    shared = {key for key, now in state.items() if now == SHARED}
    blocked = {key for key, now in state.items() if now == BLOCKED}
    for claim in claims.values():
        claim.refusal = refused_by_ends(claim.a, claim.b, blocked, shared) if claim.conducts else None

    homes = DisjointSets()
    home: dict[Key, str] = {}
    for key in state:
        known = identifiers.get(key)
        leaves = known and known.profile and key in stated.gone
        if (key in blocked and not leaves) or (known and known.state == SHARED and key not in unsettled):
            continue
        home[key] = (known.profile or key) if known else key
        homes.find(home[key])
    for claim in claims.values():
        if claim.joins:
            homes.join(home[claim.a], home[claim.b])
    groups: dict[str, Group] = defaultdict(Group)
    placed: set[str] = set()
    for key, place in home.items():
        group = groups[homes.find(place)]
        group.seen.append(key)
        if place == key:
            group.new.append(key)
        elif place not in placed:
            placed.add(place)
            group.profiles.append(place)
        if key in unsettled or (key in shared and place != key):
            group.resolve = True
    for claim in claims.values():
        if claim.joins:
            groups[homes.find(home[claim.a])].claims.append(claim)
    for group in groups.values():
        group.resolve = group.resolve or not _all_allowed(group, profiles, rules)
    return Survey(
        sightings,
        claims,
        {claim.id: claim for claim in stated.withdrawn},
        stated,
        home,
        list(groups.values()),
        sorted(placed),
        sorted(p for g in groups.values() if g.resolve for p in g.profiles),
    )


def _sightings(batch: Sequence[Observation], identifiers: Mapping[Key, KnownIdentifier]) -> dict[Key, Sighting]:
    found: dict[Key, Sighting] = {}
    for o in batch:
        at = o.observed_at
        for identifier in o.identifiers:
            s = found.get(identifier.key)
            if s is None:
                known = identifiers.get(identifier.key)
                state = known.state if known else BLOCKED if identifier.blocked else ACTIVE
                found[identifier.key] = Sighting(identifier, at, at, {o.source}, state, known is None)
            else:
                s.sources.add(o.source)
                if at < s.first_seen:
                    s.first_seen = at
                elif at > s.last_seen:
                    s.last_seen = at
    return found


def _claims(batch: Sequence[Observation]) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for o in batch:
        at = o.observed_at
        for a, b, id in o.pairs:
            claim = found.get(id)
            if claim is None:
                found[id] = Claim(id, a, b, o.source, at, at, 1, o.id)
            else:
                claim.count += 1
                claim.first_seen = min(claim.first_seen, at)
                claim.last_seen = max(claim.last_seen, at)
    return found


def _share(
    sightings: dict[Key, Sighting],
    claims: Mapping[str, Claim],
    identifiers: Mapping[Key, KnownIdentifier],
    rules: Rules,
) -> None:
    """Count new partners of unique namespaces; an identifier with too many of them becomes shared."""
    counts: dict[tuple[str, str], bool] = {}
    for claim in claims.values():
        for key, other in ((claim.a, claim.b), (claim.b, claim.a)):
            kinds = (split_key(key)[0], split_key(other)[0])
            if kinds not in counts:
                counts[kinds] = partner_that_counts(key, other, rules)
            if not counts[kinds]:
                continue
            s = sightings[key]
            if s.state != ACTIVE or sightings[other].state == BLOCKED:
                continue
            known = identifiers.get(key)
            if known and other in known.partners:
                continue
            if s.partners is None:
                s.partners = set(known.partners) if known else set()
            s.partners.add(other)
    for key, s in sightings.items():
        if s.partners and is_crowded(key, s.partners, rules):
            s.state, s.newly_shared = SHARED, True
            s.partners = set(proof_of_sharing(key, s.partners, rules))


def _all_allowed(group: Group, profiles: Mapping[str, KnownProfile], rules: Rules) -> bool:
    """Whether nothing was claimed, or the group is clean and its whole union breaks no constraint."""
    if not group.claims and not (group.profiles and group.new):
        return True
    known = [profiles[p] for p in group.profiles]
    if any(p.refused or p.guarded for p in known):
        return False
    if len(known) == 1 and not group.new:
        return True
    union = Holding.of(group.new, rules)
    for p in known:
        one = Holding.of(p.limited, rules, p.size)
        if union.refuses(one, rules):
            return False
        union.take(one)
    return _within(union, rules)


def _within(holding: Holding, rules: Rules) -> bool:
    return holding.size <= rules.size_cap and all(
        len(keys) <= rules.most_of(counted) for counted, keys in holding.limited.items()
    )


@dataclass(frozen=True, slots=True)
class Change:
    """A merge, split or move, or another verdict on a link. ``participants`` are pairs of profile id and role.

    ``observation`` is None where none said the link.
    """

    id: str
    kind: str
    link: str | None
    observation: str | None
    moved: tuple[Key, ...]
    participants: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Outcome:
    """A profile after the batch. ``new``: the batch made it; ``changed``: it must be written.

    ``link`` and ``observation`` made it, where it was not split off another profile.
    """

    id: str
    size: int
    version: int
    refused: int
    limited: tuple[Key, ...]
    guarded: bool
    new: bool
    changed: bool
    observation: str | None = None
    link: str | None = None


@dataclass(slots=True)
class Plan:
    """Everything to be written, by profile id and identifier key.

    ``home`` is where each identifier of the batch belongs now. ``absorb`` moves all members of one profile to another,
    ``move`` single identifiers; ``entomb`` is loser, survivor, change; ``revive`` are profiles that come back.
    ``judged`` are stored links whose verdict changed; ``refused`` the claims of the batch that do not conduct.
    ``leave`` are identifiers that belong to nobody any more, ``emptied`` the profiles that have no others. ``changes``
    are of who is whose, ``rulings`` of other verdicts on links.
    """

    profiles: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    home: dict[Key, str] = field(default_factory=dict[Key, str])
    absorb: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    move: list[tuple[Key, str]] = field(default_factory=list[tuple[Key, str]])
    entomb: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    revive: list[str] = field(default_factory=list[str])
    leave: list[Key] = field(default_factory=list[Key])
    emptied: list[str] = field(default_factory=list[str])
    judged: list[tuple[str, Refusal | None]] = field(default_factory=list[tuple[str, Refusal | None]])
    refused: dict[str, Refusal] = field(default_factory=dict[str, Refusal])
    changes: list[Change] = field(default_factory=list[Change])
    rulings: list[Change] = field(default_factory=list[Change])


def decide(
    seen: Survey,
    profiles: Mapping[str, KnownProfile],
    component: Component,
    rules: Rules,
    new_id: Callable[[], str],
) -> Plan:
    """The plan for a surveyed batch. ``component`` holds what the survey asked to read, closed over refused links."""
    plan = Plan()
    plan.refused = {c.id: c.refusal for c in seen.claims.values() if c.refusal}
    again: list[Group] = []
    for group in seen.groups:
        if group.resolve:
            again.append(group)
        else:
            _unite_all(group, seen, profiles, rules, new_id, plan)
    if again:
        _resolve_again(again, seen, component, rules, new_id, plan)
    return plan


def _unite_all(
    group: Group,
    seen: Survey,
    profiles: Mapping[str, KnownProfile],
    rules: Rules,
    new_id: Callable[[], str],
    plan: Plan,
) -> None:
    """The fast path: one profile, under the oldest id."""
    known = sorted((profiles[p] for p in group.profiles), key=lambda p: (p.created_at, p.id))
    limited = [k for k in group.new if rules.counted_with(k)]
    if known:
        oldest = known[0]
        id = oldest.id
        changed = bool(group.new) or len(known) > 1
        size = sum(p.size for p in known) + len(group.new)
        limited += [k for p in known for k in p.limited]
        plan.profiles[id] = Outcome(
            id, size, oldest.version + changed, oldest.refused, tuple(sorted(limited)), oldest.guarded, False, changed
        )
    else:
        id = new_id()
        first = group.claims[0] if group.claims else None
        plan.profiles[id] = Outcome(id, len(group.new), 1, 0, tuple(sorted(limited)), False, True, True)
        plan.profiles[id].link = first.id if first else None
    for key in group.seen:
        plan.home[key] = id
    if len(known) > 1:
        ages = {p.id: (p.created_at, p.id) for p in known}
        joins = [(c.id, c.observation, seen.home[c.a], seen.home[c.b]) for c in group.claims]
        for loser, link, observation in _merges(joins, ages):
            change = Change(new_id(), "MERGED", link, observation, (), ((id, "SURVIVOR"), (loser, "MERGED")))
            plan.absorb.append((loser, id))
            plan.entomb.append((loser, id, change.id))
            plan.changes.append(change)


def _merges(
    joins: Iterable[tuple[str, str | None, str, str]], ages: Mapping[str, tuple[int, str]]
) -> list[tuple[str, str, str | None]]:
    """Each profile that loses its id, with the link and the observation that brought it to an older one.

    ``joins`` are (link, observation, one place, the other) in the order in which they happened.
    """
    sets = DisjointSets()
    oldest = {id: id for id in ages}
    lost: list[tuple[str, str, str | None]] = []
    for link, observation, one, other in joins:
        a, b = sets.find(one), sets.find(other)
        if a == b:
            continue
        held = [oldest.pop(root) for root in (a, b) if root in oldest]
        root = sets.join(a, b)
        if held:
            oldest[root] = min(held, key=ages.__getitem__)
        if len(held) == 2:
            lost.append((max(held, key=ages.__getitem__), link, observation))
    return lost


def _resolve_again(
    groups: Sequence[Group],
    seen: Survey,
    component: Component,
    rules: Rules,
    new_id: Callable[[], str],
    plan: Plan,
) -> None:
    """The slow path: the partition of whole evidence components, then what it means for ids and members."""
    gone = seen.stated.gone
    plan.leave = sorted(m.key for m in component.members if m.key in gone)
    poorer = {m.profile for m in component.members if m.key in gone}
    members = {m.key: m for m in component.members if m.key not in gone}
    nodes = [*members, *(k for g in groups for k in g.new)]
    shared = {k for k in nodes if (s := seen.sightings.get(k)) and s.state == SHARED}
    shared |= {key for key, m in members.items() if m.shared}
    claims = {c.id: c for g in groups for c in g.claims}
    stored = {s.link.id: s for s in component.links if s.link.id not in seen.withdrawn}
    lifted = {cannot_link.id for cannot_link in seen.stated.lifted}
    cannot_links = [c for c in component.cannot_links if c.id not in lifted] + list(seen.stated.apart)
    sides = sides_of(cannot_links, set(nodes))
    live: list[Link] = []
    apart: list[Link] = []
    verdicts: dict[str, Refusal] = {}
    said = [_restated(s.link, seen.claims.get(id)) for id, s in stored.items()]
    said += [c.link for id, c in claims.items() if id not in stored]
    for link in said:
        crowded = tuple(k for k in (link.a, link.b) if k in shared)
        if crowded:
            verdicts[link.id] = Refusal(RefusalCode.SHARED_IDENTIFIER, crowded)
        elif not link.conducts:
            continue
        elif refusal := kept_apart(sides.get(link.a), sides.get(link.b)):
            verdicts[link.id] = refusal
            apart.append(link)
        else:
            live.append(link)
    united = [unite(keys, links, cannot_links, rules) for keys, links in components(nodes, live)]
    for one in united:
        verdicts.update(one.refused)
    plan.refused.update((id, verdicts[id]) for id in claims if id in verdicts)
    plan.judged += [(id, verdicts.get(id)) for id, s in stored.items() if verdicts.get(id) != s.refusal]

    parts = [part for one in united for part in one.parts]
    at = {key: index for index, part in enumerate(parts) for key in part}
    apart += [link for one in united for link in one.order if link.id in one.refused]
    refused_at = Counter(at[end] for link in apart for end in (link.a, link.b))
    accepted: dict[int, list[Link]] = defaultdict(list)
    for one in united:
        for link in one.order:
            if link.id not in one.refused:
                accepted[at[link.a]].append(link)
    guarded = {key for cannot_link in cannot_links for key in cannot_link.keys}

    def seniority(key: Key) -> tuple[int | str, ...]:
        return key in shared, *standing(key, members[key].first_seen, rules)

    held: dict[str, list[Key]] = defaultdict(list)
    for m in members.values():
        held[m.profile].append(m.key)
    plan.emptied = sorted(component.profiles.keys() - held.keys())
    formers = [
        Former(p.id, p.created_at, frozenset(held[p.id]), seen.stated.former.get(p.id, frozenset()) & members.keys())
        for p in component.profiles.values()
        if p.id in held
    ]
    ended = {p.id: p for p, keys in seen.stated.restored if not keys.isdisjoint(members)}
    restored = [Former(p.id, p.created_at, keys & members.keys()) for p, keys in seen.stated.restored if p.id in ended]
    links = (*(s.link for s in component.links), *(c.link for c in claims.values()))
    changed = (*(c for id, c in seen.claims.items() if c.conducts or id in stored), *seen.withdrawn.values())
    triggers = _triggers(nodes, links, changed, shared)
    resolved = _Resolved(members, component.profiles, ended, poorer, stored, claims, triggers, new_id, plan)
    for assigned in assign(parts, formers, seniority, restored):
        index = at[next(iter(assigned.part))]
        limited = tuple(sorted(filter(rules.counted_with, assigned.part)))
        resolved.settle(assigned, accepted[index], refused_at[index], limited, not guarded.isdisjoint(assigned.part))
    for link in said:
        before, verdict = stored[link.id].refusal if link.id in stored else None, verdicts.get(link.id)
        if link.id in stored and link.conducts and (verdict and verdict.code) != (before and before.code):
            ends = {parts[at[link.a]], parts[at[link.b]]}
            resolved.tell(link, LINK_REFUSED if verdict else LINK_ACCEPTED, ends)
    for key, index in at.items():
        if key in seen.sightings:
            plan.home[key] = resolved.ids[parts[index]]


def _triggers(
    nodes: Sequence[Key], links: Iterable[Link], claims: Iterable[Claim], shared: Collection[Key]
) -> dict[Key, Claim]:
    """By identifier, the newest claim that can have changed its component: one that joins, that shared an end, or that
    was taken back. Of a pair that may not meet any more there is none."""
    around = DisjointSets(nodes)
    for link in links:
        around.join(link.a, link.b)
    newest: dict[Key, Claim] = {}
    for claim in sorted(claims, key=lambda c: (c.last_seen, c.id)):
        for end in (claim.a, claim.b):
            if end in shared or (end in around.parent and not claim.refusal):
                newest[around.find(end)] = claim
    return {key: newest[root] for key in nodes if (root := around.find(key)) in newest}


def _restated(link: Link, claim: Claim | None) -> Link:
    """A stored link with what is added: an observation counts; of the model or a person the latest word stands, and of
    what is said as a whole."""
    if claim is None:
        return link
    if claim.kind is not LinkKind.OBSERVED or claim.whole:
        return claim.link
    return replace(
        link,
        first_seen=min(link.first_seen, claim.first_seen),
        last_seen=max(link.last_seen, claim.last_seen),
        count=link.count + claim.count,
    )


@dataclass(slots=True)
class _Resolved:
    """Settles the parts of re-resolved components one by one into the plan."""

    members: Mapping[Key, Member]
    known: Mapping[str, KnownProfile]
    ended: Mapping[str, KnownProfile]
    poorer: Collection[str]
    stored: Mapping[str, StoredLink]
    claims: Mapping[str, Claim]
    triggers: Mapping[Key, Claim]
    new_id: Callable[[], str]
    plan: Plan
    ids: dict[frozenset[Key], str] = field(default_factory=dict[frozenset[Key], str])

    def settle(
        self, assigned: Assigned, accepted: Sequence[Link], refused: int, limited: tuple[Key, ...], guarded: bool
    ) -> None:
        part, survivor = assigned.part, assigned.survivor
        id = survivor.id if survivor else self.new_id()
        self.ids[part] = id
        came: dict[str, list[Key]] = defaultdict(list)
        for key in sorted(part):
            if key in self.members and self.members[key].profile != id:
                came[self.members[key].profile].append(key)
                self.plan.move.append((key, id))
        if survivor:
            known = self.known.get(id) or self.ended[id]
            said = (survivor.members, known.refused, known.limited, known.guarded)
            changed = id in self.ended or id in self.poorer or said != (part, refused, limited, guarded)
            if id in self.ended:
                self.plan.revive.append(id)
            outcome = Outcome(id, len(part), known.version + changed, refused, limited, guarded, False, changed)
        else:
            outcome = Outcome(id, len(part), 1, refused, limited, guarded, True, True)
            outcome.link = None if came else (accepted[0].id if accepted else None)
        self.plan.profiles[id] = outcome
        self._lineage(assigned, id, accepted, came)

    def _lineage(self, assigned: Assigned, id: str, accepted: Sequence[Link], came: dict[str, list[Key]]) -> None:
        trigger = self.triggers.get(next(iter(assigned.part)))
        ages = {f.id: f.age for f in (assigned.survivor, *assigned.absorbed) if f}
        before = [link for link in accepted if link.id in self.stored and not self.stored[link.id].refusal]
        after = [link for link in accepted if link.id not in self.stored or self.stored[link.id].refusal]
        joins = [
            (x.id, self._observation(x.id, trigger), self._place(x.a), self._place(x.b)) for x in (*before, *after)
        ]
        causes = {loser: (link, observation) for loser, link, observation in _merges(joins, ages)}
        touching = [link for link in after if link.id in self.claims] or after
        link = touching[0].id if touching else trigger.id if trigger else None
        for loser in assigned.absorbed:
            cause, observation = causes.get(loser.id, (link, self._observation(link, trigger)))
            moved = tuple(came.pop(loser.id, ()))
            change = Change(
                self.new_id(), "MERGED", cause, observation, moved, ((id, "SURVIVOR"), (loser.id, "MERGED"))
            )
            self.plan.changes.append(change)
            self.plan.entomb.append((loser.id, id, change.id))
        if not came:
            return
        if assigned.survivor and id not in self.ended:
            for source, keys in came.items():
                roles = ((source, "SOURCE"), (id, "TARGET"))
                self.plan.changes.append(
                    Change(self.new_id(), "MOVED", link, self._observation(link, trigger), tuple(keys), roles)
                )
        else:
            roles = (*((source, "SOURCE") for source in came), (id, "RESTORED" if assigned.survivor else "CREATED"))
            moved = tuple(k for keys in came.values() for k in keys)
            self.plan.changes.append(
                Change(self.new_id(), "SPLIT", link, self._observation(link, trigger), moved, roles)
            )

    def tell(self, link: Link, kind: str, parts: Iterable[frozenset[Key]]) -> None:
        """That there is another verdict on a link between these parts."""
        roles = tuple((id, "PARTY") for id in sorted({self.ids[part] for part in parts}))
        observation = self._observation(link.id, self.triggers.get(link.a))
        self.plan.rulings.append(Change(self.new_id(), kind, link.id, observation, (), roles))

    def _place(self, key: Key) -> str:
        return self.members[key].profile if key in self.members else key

    def _observation(self, link: str | None, trigger: Claim | None) -> str | None:
        claim = self.claims.get(link or "", trigger)
        return claim.observation if claim else None


@dataclass(frozen=True, slots=True)
class ProfileRef:
    """A profile at the moment of an answer; ``size`` in identifiers."""

    id: str
    size: int
    version: int


@dataclass(frozen=True, slots=True)
class RefusedLink:
    a: Key
    b: Key
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class ChangeRef:
    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of an observation. ``profile`` is None where all its identifiers are junk.

    ``left_out`` are the names of traits that stay in its record, as its source has more than are taken; that is told
    with the first answer only.
    """

    observation_id: str
    duplicate: bool
    profile: ProfileRef | None
    refused: tuple[RefusedLink, ...] = ()
    changes: tuple[ChangeRef, ...] = ()
    left_out: tuple[str, ...] = ()


def created_change_id(profile: str) -> str:
    """A creation is no node of its own: its profile tells it."""
    return f"created-{profile}"


def outcomes(
    batch: Sequence[Observation], seen: Survey, plan: Plan, shared: Mapping[Key, KnownProfile]
) -> list[Accepted]:
    """The answer to each observation of a decided batch, in order; also says which of them made each profile.

    ``shared`` are the profiles of identifiers that were shared before.
    """
    caused: dict[str | None, list[ChangeRef]] = defaultdict(list)
    for change in plan.changes:
        caused[change.observation].append(ChangeRef(change.id, change.kind))
    split = {id for change in plan.changes for id, role in change.participants if role == "CREATED"}
    answers: list[Accepted] = []
    for o in batch:
        mine = caused.get(o.id, [])
        for identifier in o.identifiers:
            outcome = plan.profiles.get(plan.home.get(identifier.key, ""))
            if outcome and outcome.new and outcome.observation is None and outcome.id not in split:
                outcome.observation = o.id
                mine = [ChangeRef(created_change_id(outcome.id), "CREATED"), *mine]
        refused = tuple(RefusedLink(a, b, plan.refused[id]) for a, b, id in o.pairs if id in plan.refused)
        answers.append(Accepted(o.id, False, _profile_of(o, seen, plan, shared), refused, tuple(mine)))
    return answers


def _profile_of(o: Observation, seen: Survey, plan: Plan, shared: Mapping[Key, KnownProfile]) -> ProfileRef | None:
    """The profile of the observation's strongest identifier that is one person's; else of a shared one."""
    usable = [i.key for i in o.identifiers if not i.blocked]
    usable.sort(key=lambda key: seen.sightings[key].state == SHARED)
    for key in usable:
        if outcome := plan.profiles.get(plan.home.get(key, "")):
            return ProfileRef(outcome.id, outcome.size, outcome.version)
        if known := shared.get(key):
            return ProfileRef(known.id, known.size, known.version)
    return None
