"""The partition: which identifiers are one person, as a pure function of evidence and rules.

    partition(evidence, rules) = unite each evidence component, its links in order of precedence,
                                 refusing every link whose union would break a constraint

No clock, no database and no order of arrival enters, so the same evidence always gives the same profiles.
All constraints are hereditary: a set that breaks one is never mended by growing. Two facts follow, and the write path
lives on them: a component whose whole union is allowed is one profile whatever the order of its links; and the two
ends of a refused link are never in one profile.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from identity_graph.domain.evidence import (
    CannotLink,
    Evidence,
    Key,
    Link,
    LinkKind,
    Refusal,
    RefusalCode,
)
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.rules import RECORDS_OF, Policy, Rules


@dataclass(frozen=True, slots=True)
class Partition:
    """Profiles as sets of keys (blocked values are in none), refused links by id, and the shared identifiers."""

    profiles: frozenset[frozenset[Key]]
    refused: Mapping[str, Refusal]
    shared: frozenset[Key]


def partition(evidence: Evidence, rules: Rules) -> Partition:
    """The golden profiles that the evidence supports, and why each other link does not conduct."""
    shared = shared_identifiers(evidence.links, rules)
    ends = {k for link in evidence.links for k in (link.a, link.b)}
    blocked = {k for k in evidence.identifiers | ends if rules.is_blocked_key(k)}
    sides = sides_of(evidence.cannot_links, ends)
    refused: dict[str, Refusal] = {}
    conducting: list[Link] = []
    for link in evidence.links:
        if not link.conducts:
            continue
        refusal = refused_by_ends(link.a, link.b, blocked, shared) or kept_apart(sides.get(link.a), sides.get(link.b))
        if refusal:
            refused[link.id] = refusal
        else:
            conducting.append(link)
    profiles: set[frozenset[Key]] = set()
    for component, links in components(evidence.identifiers - blocked, conducting):
        united = unite(component, links, evidence.cannot_links, rules)
        profiles.update(united.parts)
        refused.update(united.refused)
    return Partition(frozenset(profiles), refused, frozenset(shared))


def refused_by_ends(a: Key, b: Key, blocked: Collection[Key], shared: Collection[Key]) -> Refusal | None:
    """A link is refused before any union where an end is junk or shared."""
    if a in blocked or b in blocked:
        return Refusal(RefusalCode.BLOCKED_VALUE, tuple(k for k in (a, b) if k in blocked))
    if a in shared or b in shared:
        return Refusal(RefusalCode.SHARED_IDENTIFIER, tuple(k for k in (a, b) if k in shared))
    return None


def partner_that_counts(key: Key, other: Key, rules: Rules) -> bool:
    """True where ``other`` is a value of a unique namespace whose number ``key``'s fan-out bounds."""
    namespace, partner = split_key(key)[0], split_key(other)[0]
    return rules.rule(namespace).fan_out is not None and rules.rule(partner).unique and namespace != partner


def is_crowded(key: Key, partners: Iterable[Key], rules: Rules) -> bool:
    """True where ``key`` was seen with more than its fan-out of distinct partners of one unique namespace."""
    most = rules.rule(split_key(key)[0]).fan_out
    if most is None:
        return False
    counts: dict[str, int] = defaultdict(int)
    for partner in partners:
        counts[split_key(partner)[0]] += 1
    return any(n > most for n in counts.values())


def shared_identifiers(links: Iterable[Link], rules: Rules) -> set[Key]:
    """The identifiers that too many people use, counted from observed, unretracted, unblocked links."""
    partners: dict[Key, set[Key]] = defaultdict(set)
    for link in links:
        if link.kind is not LinkKind.OBSERVED or not link.conducts:
            continue
        for key, other in ((link.a, link.b), (link.b, link.a)):
            if partner_that_counts(key, other, rules) and not rules.is_blocked_key(other):
                partners[key].add(other)
    return {k for k, seen in partners.items() if is_crowded(k, seen, rules) and not rules.is_blocked_key(k)}


def enough_partners(namespace: str, rules: Rules) -> int:
    """How many partners of a shared identifier are kept: they prove it, and a tablet of a shop meets thousands."""
    return 4 * ((rules.rule(namespace).fan_out or 0) + 1)


def proof_of_sharing(key: Key, partners: Iterable[Key], rules: Rules) -> list[Key]:
    """The partners of a shared identifier that are kept, in order."""
    return sorted(partners)[: enough_partners(split_key(key)[0], rules)]


def components(members: Iterable[Key], links: Iterable[Link]) -> Iterable[tuple[list[Key], list[Link]]]:
    """The connected components of ``members`` under ``links``, each with its links."""
    sets = DisjointSets(members)
    for link in links:
        sets.join(link.a, link.b)
    keys: dict[Key, list[Key]] = defaultdict(list)
    held: dict[Key, list[Link]] = defaultdict(list)
    for key in sets.parent:
        keys[sets.find(key)].append(key)
    for link in links:
        held[sets.find(link.a)].append(link)
    return [(component, held[root]) for root, component in keys.items()]


class DisjointSets:
    """Union-find with path halving; unknown keys are added when met."""

    __slots__ = ("parent",)

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.parent: dict[Key, Key] = {key: key for key in keys}

    def find(self, key: Key) -> Key:
        parent = self.parent
        if key not in parent:
            parent[key] = key
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    def join(self, a: Key, b: Key) -> Key:
        """One set of both; the root of ``a`` stays a root."""
        root, other = self.find(a), self.find(b)
        if root != other:
            self.parent[other] = root
        return root


def precedence(links: Collection[Link], rules: Rules) -> Callable[[Link], tuple[float | str, ...]]:
    """The sort key of a component's links: a person's word, then observations by the policy, then the model.

    ``latest_owner``: the links of the newest observation, then the strongest namespaces (the least sum of both ends'
    priorities), then the newest. ``first_owner``: the oldest, and within one observation the strongest first, so its
    weakest identifier gives way. Ties fall to the link's id, so the order is total.
    """
    newest = max((link.last_seen for link in links if link.kind is LinkKind.OBSERVED), default=0)
    of = {ns: rule.priority for ns, rule in rules.namespaces.items()}
    keys = {key for link in links for key in (link.a, link.b)}
    # An identifier has many links.
    priority = {key: of.get(split_key(key)[0], rules.defaults.priority) for key in keys}

    def strength(link: Link) -> int:
        return priority[link.a] + priority[link.b]

    def latest_owner(link: Link) -> tuple[float | str, ...]:
        return (1, link.last_seen != newest, strength(link), -link.last_seen, link.id)

    def first_owner(link: Link) -> tuple[float | str, ...]:
        return (1, link.first_seen, strength(link), link.id)

    observed = latest_owner if rules.policy is Policy.LATEST_OWNER else first_owner

    def key(link: Link) -> tuple[float | str, ...]:
        if link.kind is LinkKind.OBSERVED:
            return observed(link)
        if link.kind is LinkKind.ASSERTED:
            return (0, -link.last_seen, link.id)
        return (2, -link.weight, link.id)

    return key


@dataclass(slots=True)
class Holding:
    """What a set of identifiers holds that a constraint looks at: its size and the keys of limited namespaces."""

    size: int = 0
    limited: dict[str, set[Key]] = field(default_factory=dict[str, set[Key]])

    @classmethod
    def of(cls, keys: Iterable[Key], rules: Rules, size: int | None = None) -> "Holding":
        """The holding of a set; ``keys`` may be just its limited keys where ``size`` is given."""
        holding = cls()
        for key in keys:
            holding.size += 1
            for counted in rules.counted_with(key):
                holding.limited.setdefault(counted, set()).add(key)
        if size is not None:
            holding.size = size
        return holding

    def refuses(self, other: "Holding", rules: Rules) -> Refusal | None:
        """The constraint that the union of both would break, if any. Both sets are disjoint."""
        # The strongest namespace is named where several stand in the way; a set's own order differs from run to run.
        both = self.limited.keys() & other.limited.keys()
        for counted in sorted(both, key=lambda name: (rules.rule(name.partition(":")[0]).priority, name)):
            mine, theirs = self.limited[counted], other.limited[counted]
            if len(mine) + len(theirs) > rules.most_of(counted):
                if counted.startswith(RECORDS_OF) or rules.rule(counted).unique:
                    return Refusal(RefusalCode.UNIQUE_NAMESPACE, tuple(sorted(mine | theirs)[:2]))
                return Refusal(RefusalCode.NAMESPACE_LIMIT, (counted, *sorted(mine | theirs)))
        if self.size + other.size > rules.size_cap:
            return Refusal(RefusalCode.SIZE_CAP)
        return None

    def take(self, other: "Holding") -> None:
        self.size += other.size
        for namespace, keys in other.limited.items():
            self.limited.setdefault(namespace, set()).update(keys)


@dataclass(frozen=True, slots=True)
class United:
    """One evidence component decided: its parts, its refused links by id, and its links in order of precedence."""

    parts: list[frozenset[Key]]
    refused: dict[str, Refusal]
    order: list[Link]


def unite(
    members: Collection[Key], links: Collection[Link], cannot_links: Collection[CannotLink], rules: Rules
) -> United:
    """Unite greedily: each link in order joins its ends' sets unless that breaks a constraint."""
    sets = DisjointSets(members)
    inside: dict[Key, list[Key]] = {key: [key] for key in members}
    holding = {key: Holding.of((key,), rules) for key in members}
    sides = sides_of(cannot_links, inside)
    refused: dict[str, Refusal] = {}
    order = sorted(links, key=precedence(links, rules))
    for link in order:
        a, b = sets.find(link.a), sets.find(link.b)
        if a == b:
            continue
        if len(inside[a]) < len(inside[b]):
            a, b = b, a
        refusal = kept_apart(sides.get(a), sides.get(b)) or holding[a].refuses(holding[b], rules)
        if refusal:
            refused[link.id] = refusal
            continue
        sets.join(a, b)
        inside[a] += inside.pop(b)
        holding[a].take(holding.pop(b))
        if taken := sides.pop(b, None):
            held = sides.setdefault(a, {})
            held.update({side: min(key, held.get(side, key)) for side, key in taken.items()})
    return United([frozenset(part) for part in inside.values()], refused, order)


#: One side of a cannot-link: its number, and which of the two it is.
Side = tuple[int, int]


def sides_of(cannot_links: Iterable[CannotLink], members: Collection[Key]) -> dict[Key, dict[Side, Key]]:
    """By member, the sides that it is on; the least identifier that a set has on a side stands for the set."""
    found: dict[Key, dict[Side, Key]] = defaultdict(dict)
    for number, cannot_link in enumerate(cannot_links):
        for which, keys in enumerate((cannot_link.one, cannot_link.other)):
            for key in keys:
                if key in members:
                    found[key][number, which] = key
    return dict(found)


def kept_apart(one: Mapping[Side, Key] | None, other: Mapping[Side, Key] | None) -> Refusal | None:
    """The cannot-link that two sets would break, if any; of two identifiers it needs no union to say so.

    A link whose own ends may not meet joins no evidence component, so that what a person keeps apart is decided as if
    that link had never been.
    """
    if not one or not other:
        return None
    found = [
        tuple(sorted((key, other[number, 1 - which])))
        for (number, which), key in one.items()
        if (number, 1 - which) in other
    ]
    return Refusal(RefusalCode.CANNOT_LINK, min(found)) if found else None
