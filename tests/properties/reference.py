"""The partition once more, from its definition: slow, obviously right, and sharing no code with the product.

It reads evidence and rules by their attributes only. Junk is a set of values given by the caller.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any


@dataclass
class Expected:
    """``refused`` gives for each refused link the codes that may be named: any constraint that its union breaks."""

    profiles: set[frozenset[str]]
    refused: dict[str, set[str]]
    shared: set[str]


def expected(evidence: Any, rules: Any, junk: Iterable[str]) -> Expected:
    blocked = {key for key in everything(evidence) if value_of(key) in set(junk)}
    shared = {key for key in everything(evidence) - blocked if too_popular(key, evidence, rules, blocked)}
    refused: dict[str, set[str]] = {}
    conducting: list[Any] = []
    for link in evidence.links:
        if not link.conducts:
            continue
        if link.a in blocked or link.b in blocked:
            refused[link.id] = {"BLOCKED_VALUE"}
        elif link.a in shared or link.b in shared:
            refused[link.id] = {"SHARED_IDENTIFIER"}
        elif may_not_meet({link.a, link.b}, evidence):
            refused[link.id] = {"CANNOT_LINK"}
        else:
            conducting.append(link)

    profiles: set[frozenset[str]] = set()
    for component in closure(everything(evidence) - blocked, conducting):
        links = [link for link in conducting if link.a in component]
        parts = [{key} for key in component]
        for link in in_order(links, rules):
            (one,) = [part for part in parts if link.a in part]
            (other,) = [part for part in parts if link.b in part]
            if one is other:
                continue
            broken = constraints_broken(one | other, evidence, rules)
            if broken:
                refused[link.id] = broken
            else:
                parts = [part for part in parts if part is not one and part is not other] + [one | other]
        profiles |= {frozenset(part) for part in parts}
    return Expected(profiles, refused, shared)


def everything(evidence: Any) -> set[str]:
    return set(evidence.identifiers) | {end for link in evidence.links for end in (link.a, link.b)}


def namespace_of(key: str) -> str:
    return key.split(":", 1)[0]


def value_of(key: str) -> str:
    return key.split(":", 1)[1]


def rule_of(key: str, rules: Any) -> Any:
    namespace = namespace_of(key)
    return rules.namespaces.get(namespace, rules.defaults)


def too_popular(key: str, evidence: Any, rules: Any, blocked: set[str]) -> bool:
    """Seen with more than `fan_out` values of one unique namespace that is not its own."""
    fan_out = rule_of(key, rules).fan_out
    if fan_out is None:
        return False
    seen_with = {
        other
        for link in evidence.links
        if link.kind == "OBSERVED" and link.conducts
        for one, other in ((link.a, link.b), (link.b, link.a))
        if one == key and other not in blocked and rule_of(other, rules).unique
    }
    others = {namespace_of(other) for other in seen_with} - {namespace_of(key)}
    return any(sum(namespace_of(other) == name for other in seen_with) > fan_out for name in others)


def closure(keys: Iterable[str], links: Iterable[Any]) -> list[set[str]]:
    """Start with every key by itself and melt two groups as long as a link runs between them."""
    groups = [{key} for key in keys]
    for link in links:
        touched = [group for group in groups if link.a in group or link.b in group]
        groups = [group for group in groups if group not in touched] + [set().union(*touched)]
    return groups


def in_order(links: list[Any], rules: Any) -> list[Any]:
    newest = max((link.last_seen for link in links if link.kind == "OBSERVED"), default=None)

    def weakness(link: Any) -> int:
        return rule_of(link.a, rules).priority + rule_of(link.b, rules).priority

    def first_difference(pairs: list[tuple[Any, Any]]) -> int:
        for one, other in pairs:
            if one != other:
                return -1 if one < other else 1
        return 0

    def compare(x: Any, y: Any) -> int:
        if x.kind != y.kind:
            kinds = ["ASSERTED", "OBSERVED", "MATCHED"]
            return kinds.index(x.kind) - kinds.index(y.kind)
        by_id = (x.id, y.id)
        if x.kind == "ASSERTED":
            return first_difference([(y.last_seen, x.last_seen), by_id])
        if x.kind == "MATCHED":
            return first_difference([(y.weight, x.weight), by_id])
        if rules.policy == "first_owner":
            return first_difference([(x.first_seen, y.first_seen), (weakness(x), weakness(y)), by_id])
        x_is_newest, y_is_newest = x.last_seen == newest, y.last_seen == newest
        if x_is_newest != y_is_newest:
            return -1 if x_is_newest else 1
        return first_difference([(weakness(x), weakness(y)), (y.last_seen, x.last_seen), by_id])

    return sorted(links, key=cmp_to_key(compare))


def constraints_broken(keys: set[str], evidence: Any, rules: Any) -> set[str]:
    broken: set[str] = set()
    for key in keys:
        rule, alike = rule_of(key, rules), [k for k in keys if namespace_of(k) == namespace_of(key)]
        if rule.unique and len(alike) > 1:
            broken.add("UNIQUE_NAMESPACE")
        if not rule.unique and rule.limit is not None and len(alike) > rule.limit:
            broken.add("NAMESPACE_LIMIT")
    for source in rules.deduplicated_sources:
        if sum(key.startswith(f"record:{source}/") for key in keys) > 1:
            broken.add("UNIQUE_NAMESPACE")
    if may_not_meet(keys, evidence):
        broken.add("CANNOT_LINK")
    if len(keys) > rules.size_cap:
        broken.add("SIZE_CAP")
    return broken


def may_not_meet(keys: set[str], evidence: Any) -> bool:
    return any(keys & cannot_link.one and keys & cannot_link.other for cannot_link in evidence.cannot_links)
