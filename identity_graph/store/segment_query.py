"""Rules of segments as Cypher predicates over a profile ``p``: the same meaning as ``domain/segments.py``, for all
profiles at once.

Every value is a parameter. Names of traits become part of the text, back-ticked, and only after the domain has let pass
nothing but letters, digits, blanks, ``_``, ``.`` and ``-``.

What a profile lacks makes a condition null, which counts as false where nothing is negated: ``AND`` and ``OR`` keep it
so. Only below ``NOT`` it is made false by ``coalesce``, which would hide a condition from the indexes elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, cast

from identity_graph.domain.segments import (
    OF_DATES,
    AllOf,
    AnyOf,
    Definitions,
    Happened,
    HasIdentifiers,
    InSegment,
    Not,
    Rule,
    Seen,
    Test,
    TraitIs,
)
from identity_graph.domain.traits import DATE, NAME, TRAIT
from identity_graph.store.statements import statement

#: Stands in a statement where the predicate goes, and makes it a statement by itself.
PLACE = "true /* rule */"
#: Stands for the property in the statements of indexes.
INDEXED = "trait:name"

_COMPARISONS = {"equals": "=", "notEquals": "<>", "in": "IN", "atLeast": ">=", "atMost": "<=", "greaterThan": ">",
                "lessThan": "<", "startsWith": "STARTS WITH", "before": "<", "after": ">"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiled:
    """A predicate in Cypher and the values of its parameters; ``$now`` is the moment of asking."""

    text: str
    params: dict[str, Any]

    def into(self, name: str) -> LiteralString:
        """The statement of that name with this rule in it. The text is the compiler's, not input, hence the cast."""
        return cast(LiteralString, statement(name).text.replace(PLACE, self.text))


def index_of(name: str, property: str) -> LiteralString:
    """The statement of that name for the index of a profile's property, whose name is checked here."""
    prefix, colon, trait = property.partition(":")
    if prefix + colon not in (TRAIT, DATE) or not NAME.fullmatch(trait):
        raise ValueError("the name of a trait was not checked")
    return cast(LiteralString, statement(name).text.replace(INDEXED, property))


def indexable(rule: Rule) -> set[str]:
    """The properties by whose index profiles that satisfy the rule can be found."""
    match rule:
        case AllOf(parts) | AnyOf(parts):
            return {name for part in parts for name in indexable(part)}
        case TraitIs(name, tests):
            return {
                (DATE if test.operator in OF_DATES else TRAIT) + name
                for test in tests
                if test.operator not in ("contains", "notEquals", "exists")
            }
        case _:
            return set()


def satisfying(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    """The profiles that satisfy a rule. ``now`` is in microseconds since 1970."""
    compiler = _Compiler(definitions, {"now": now})
    return Compiled(compiler.predicate(rule, None), compiler.params)


def not_satisfying(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    return satisfying(Not(rule), definitions, now)


def turning(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    """Those that time alone may make satisfy a rule, or not: they would if time made the best of all its conditions,
    and would not if it made the worst."""
    compiler = _Compiler(definitions, {"now": now})
    best, worst = (compiler.predicate(rule, assumed) for assumed in (True, False))
    return Compiled(f"{best} AND NOT coalesce({worst}, false)", compiler.params)


@dataclass(frozen=True, slots=True)
class _Compiler:
    definitions: Definitions
    params: dict[str, Any]

    def predicate(self, rule: Rule, assumed: bool | None) -> str:
        """``assumed``: what conditions on the last days count as; None for what they are."""
        match rule:
            case AllOf(parts):
                return "(" + " AND ".join(self.predicate(part, assumed) for part in parts) + ")"
            case AnyOf(parts):
                return "(" + " OR ".join(self.predicate(part, assumed) for part in parts) + ")"
            case Not(part):
                inner = self.predicate(part, None if assumed is None else not assumed)
                return f"NOT coalesce({inner}, false)"
            case TraitIs(name, tests):
                return "(" + " AND ".join(self._trait(test, name, assumed) for test in tests) + ")"
            case HasIdentifiers():
                return self._identifiers(rule)
            case Seen(tests):
                return "(" + " AND ".join(self._seen(test, assumed) for test in tests) + ")"
            case Happened():
                return self._events(rule, assumed)
            case InSegment():
                return self.predicate(self.definitions.named(rule), assumed)

    def _value(self, value: Any) -> str:
        name = f"v{len(self.params)}"
        self.params[name] = value
        return f"${name}"

    def _trait(self, test: Test, name: str, assumed: bool | None) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("the name of a trait was not checked")
        of = f"p.`{DATE if test.operator in OF_DATES else TRAIT}{name}`"
        if test.operator == "exists":
            return f"{of} IS NOT NULL" if test.operand else f"{of} IS NULL"
        if test.operator == "withinDays" and assumed is not None:
            return f"{of} IS NOT NULL" if assumed else "false"
        value = self._value(list(test.operand) if test.operator == "in" else test.operand)
        match test.operator:
            case "contains":
                among = f"{value} IN {of}"
                return f"({of} CONTAINS {value} OR {among})" if isinstance(test.operand, str) else among
            case "withinDays":
                return f"{of} >= $now - {value} AND {of} <= $now"
            case _:
                return f"{of} {_COMPARISONS[test.operator]} {value}"

    def _identifiers(self, leaf: HasIdentifiers) -> str:
        if leaf.namespace is None and leaf.cls is None:
            many = "p.size"
        else:
            known: Mapping[str, Any] = self.definitions.graph.namespaces
            among = (
                [leaf.namespace] if leaf.namespace else [name for name in known if self.definitions.is_of(leaf, name)]
            )
            which = f"split(i.key, ':')[0] IN {self._value(among)}"
            if leaf.cls is self.definitions.graph.defaults.cls:
                # A namespace that has no rule of its own is of this class too.
                which = f"({which} OR NOT split(i.key, ':')[0] IN {self._value(list(known))})"
            many = f"COUNT {{ (p)<-[:MEMBER_OF]-(i:Identifier) WHERE {which} }}"
        return self._within(many, leaf.least, leaf.most)

    def _within(self, many: str, least: int, most: int | None) -> str:
        bounds = [f"{many} >= {self._value(least)}"] if least else []
        if most is not None:
            bounds.append(f"{many} <= {self._value(most)}")
        return f"({' AND '.join(bounds)})" if bounds else "true"

    def _events(self, leaf: Happened, assumed: bool | None) -> str:
        type = self._value(leaf.type)
        if leaf.within is None:
            counts = f"[(p)<-[:MEMBER_OF]-(:Identifier)<-[:COUNTS]-(t:Tally) WHERE t.type = {type} | t.count]"
            return self._within(f"reduce(n = 0, many IN {counts} | n + many)", leaf.least, leaf.most)
        of_identifier = f"e.by = i.key AND e.type = {type} AND e.observed_at >= $now - {self._value(leaf.within)}"
        events = f"{{ MATCH (p)<-[:MEMBER_OF]-(i:Identifier) MATCH (e:Event) WHERE {of_identifier} }}"
        holds = self._within(f"COUNT {events}", leaf.least, leaf.most)
        if assumed is None:
            return holds
        # Time takes events away, where there are any.
        return f"({holds} OR EXISTS {events})" if assumed else f"({holds} AND NOT EXISTS {events})"

    def _seen(self, test: Test, assumed: bool | None) -> str:
        if test.operator == "withinDays" and assumed is False:
            # Time only ever takes it away.
            return "false"
        value = self._value(test.operand)
        match test.operator:
            case "withinDays":
                return _any_seen(f">= $now - {value}")
            case "before":
                return f"NOT {_any_seen(f'>= {value}')}"
            case _:
                return _any_seen(f"> {value}")


def _any_seen(when: str) -> str:
    return f"EXISTS {{ (p)<-[:MEMBER_OF]-(i:Identifier) WHERE i.last_seen {when} }}"
