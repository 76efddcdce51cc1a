"""The partition of millions of links at once, in arrays.

It is the partition of :mod:`identity_graph.domain.partition`, and leaves to it what is more than counting: a component
that breaks no constraint is one profile, which numpy and scipy tell of all components at once; the others, which are
few, are united link by link.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from identity_graph.domain.evidence import CannotLink, Key, Link, Refusal
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.partition import kept_apart, partner_that_counts, refused_by_ends, sides_of, unite
from identity_graph.domain.rules import RECORDS_OF, Rules

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Parts:
    """A partition: each identifier's profile by number, -1 for junk, and the links that do not conduct.

    ``apart`` are those of them that a union refused; ``begun`` is the link that each profile of a broken component
    began with, by profile.
    """

    home: Ints
    many: int
    refused: dict[int, Refusal]
    apart: Ints
    begun: dict[int, int]


class Compact:
    """Identifiers and links by number. ``link`` tells one whole; ``conducts`` are those not taken back or proposed.

    ``observed`` links count for who is shared.
    """

    def __init__(
        self,
        keys: list[Key],
        blocked: Mask,
        a: Ints,
        b: Ints,
        conducts: Mask,
        observed: Mask,
        link: Callable[[int], Link],
        rules: Rules,
        cannot_links: Collection[CannotLink] = (),
    ) -> None:
        self.keys, self.blocked, self.a, self.b, self.conducts = keys, blocked, a, b, conducts
        self.rules, self._link, self._cannot_links = rules, link, cannot_links
        self.number = {key: number for number, key in enumerate(keys)}
        self.key_array = pa.array(keys, pa.string())
        names = [split_key(key)[0] for key in keys]
        self.namespaces = list(dict.fromkeys(names))
        numbers = {name: number for number, name in enumerate(self.namespaces)}
        self.namespace = np.fromiter((numbers[name] for name in names), np.int64, len(names))
        #: Each identifier's place among all in the order of their keys.
        self.rank = np.empty(len(keys), np.int64)
        order = pc.call_function("array_sort_indices", [self.key_array])
        self.rank[order.to_numpy()] = np.arange(len(keys))
        self.partner_of, self.partner = self._partners(conducts & observed)
        self.shared = self._crowded()

    def _partners(self, counted: Mask) -> tuple[Ints, Ints]:
        """Who was seen with whom of a unique namespace, each pair once, in the order of both."""
        spaces, many = self.namespaces, max(1, len(self.keys))
        a, b = self.a[counted], self.b[counted]
        of, partner = np.concatenate((a, b)), np.concatenate((b, a))
        if len(of):
            counts = np.array([[partner_that_counts(f"{x}:", f"{y}:", self.rules) for y in spaces] for x in spaces])
            wanted = counts[self.namespace[of], self.namespace[partner]] & ~self.blocked[of] & ~self.blocked[partner]
            of, partner = of[wanted], partner[wanted]
        pairs = np.unique(of * many + self.rank[partner])
        return pairs // many, np.argsort(self.rank)[pairs % many] if len(pairs) else pairs

    def _crowded(self) -> Mask:
        """Identifiers with more partners of one namespace than their fan-out."""
        spaces = max(1, len(self.namespaces))
        most = np.array([np.inf if (n := self.rules.rule(s).fan_out) is None else n for s in self.namespaces])
        groups, counts = np.unique(self.partner_of * spaces + self.namespace[self.partner], return_counts=True)
        shared = np.zeros(len(self.keys), bool)
        if len(groups):
            of = groups // spaces
            shared[of[counts > most[self.namespace[of]]]] = True
        return shared

    def bounded(self) -> Mask:
        """The identifiers whose number in one profile the rules limit."""
        found = np.zeros(len(self.keys), bool)
        for members, _ in self._counted():
            found |= members
        return found

    def _counted(self) -> Iterator[tuple[Mask, int]]:
        """The identifiers of which one profile may hold only so many, and how many."""
        for number, name in enumerate(self.namespaces):
            most = self.rules.rule(name).most
            if most is not None:
                yield self.namespace == number, most
        for source in sorted(self.rules.deduplicated_sources):
            begins = pc.call_function(
                "starts_with", [self.key_array], pc.MatchSubstringOptions(f"{RECORDS_OF}{source}/")
            )
            yield begins.to_numpy(zero_copy_only=False), 1

    def partition(self) -> Parts:
        refused = self._refused_by_ends()
        by_ends = len(refused)
        refused |= self._kept_apart(refused)
        conducts = self.conducts.copy()
        conducts[list(refused)] = False
        home = self._components(conducts)
        begun: dict[int, int] = {}
        for members, links in self._broken(home, conducts):
            self._unite(members, links, home, refused, begun)
        usable = home >= 0
        labels, home[usable] = np.unique(home[usable], return_inverse=True)
        number_of = dict(zip(labels.tolist(), range(len(labels)), strict=True)) if begun else {}
        apart = np.fromiter(list(refused)[by_ends:], np.int64, len(refused) - by_ends)
        return Parts(home, len(labels), refused, apart, {number_of[label]: link for label, link in begun.items()})

    def _refused_by_ends(self) -> dict[int, Refusal]:
        idle = self.blocked | self.shared
        blocked = {self.keys[n] for n in np.flatnonzero(self.blocked)}
        shared = {self.keys[n] for n in np.flatnonzero(self.shared)}
        found: dict[int, Refusal] = {}
        for link in np.flatnonzero(self.conducts & (idle[self.a] | idle[self.b])).tolist():
            refusal = refused_by_ends(self.keys[self.a[link]], self.keys[self.b[link]], blocked, shared)
            if refusal:
                found[link] = refusal
        return found

    def _kept_apart(self, refused: Collection[int]) -> dict[int, Refusal]:
        """The links whose own ends may not meet."""
        sides = sides_of(self._cannot_links, self.number)
        if not sides:
            return {}
        sided = np.zeros(len(self.keys), bool)
        sided[[self.number[key] for key in sides]] = True
        found: dict[int, Refusal] = {}
        for link in np.flatnonzero(self.conducts & sided[self.a] & sided[self.b]).tolist():
            refusal = kept_apart(sides[self.keys[self.a[link]]], sides[self.keys[self.b[link]]])
            if refusal and link not in refused:
                found[link] = refusal
        return found

    def _components(self, conducts: Mask) -> Ints:
        """Each identifier's component, -1 for junk."""
        many = len(self.keys)
        if not many:
            return np.zeros(0, np.int64)
        a, b = self.a[conducts], self.b[conducts]
        _, labels = connected_components(coo_array((np.ones(len(a), np.int8), (a, b)), (many, many)), directed=False)
        return np.where(self.blocked, -1, labels.astype(np.int64))

    def _broken(self, home: Ints, conducts: Mask) -> list[tuple[Ints, Ints]]:
        """The identifiers and the links of each component that breaks a constraint."""
        usable = home >= 0
        bad = np.bincount(home[usable], minlength=1) > self.rules.size_cap
        for counted, most in self._counted():
            bad |= np.bincount(home[usable & counted], minlength=len(bad)) > most
        for cannot_link in self._cannot_links:
            one, other = (
                {int(home[self.number[key]]) for key in side if key in self.number}
                for side in (cannot_link.one, cannot_link.other)
            )
            bad[list((one & other) - {-1})] = True
        members = np.flatnonzero(usable & bad[home])
        links = np.flatnonzero(conducts & (home[self.a] >= 0) & bad[home[self.a]])
        return list(zip(grouped(members, home[members]), grouped(links, home[self.a[links]]), strict=True))

    def _unite(
        self, members: Ints, links: Ints, home: Ints, refused: dict[int, Refusal], begun: dict[int, int]
    ) -> None:
        """Break a component into its parts."""
        claims = {(link := self._link(number)).id: (number, link) for number in links.tolist()}
        keys = [self.keys[n] for n in members.tolist()]
        inside = set(keys)
        cannot_links = [c for c in self._cannot_links if not (c.one.isdisjoint(inside) or c.other.isdisjoint(inside))]
        united = unite(keys, [link for _, link in claims.values()], cannot_links, self.rules)
        refused.update((claims[id][0], refusal) for id, refusal in united.refused.items())
        for label, part in enumerate(united.parts, int(home.max()) + 1):
            home[[self.number[key] for key in part]] = label
        for link in united.order:
            if link.id not in united.refused:
                number = claims[link.id][0]
                begun.setdefault(int(home[self.a[number]]), number)


def grouped(values: Ints, group: Ints) -> list[Ints]:
    """The values of each group, in the order of the groups."""
    order = np.argsort(group, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(group[order])) + 1) if len(values) else []
