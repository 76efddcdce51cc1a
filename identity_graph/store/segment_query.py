"""Rules of segments as Cypher predicates over a profile ``p``: the same meaning as ``domain/segments.py``, for all
profiles at once.

Every value is a parameter. Names of traits become part of the text, back-ticked, and only after the domain has let pass
nothing but letters, digits, blanks, ``_``, ``.`` and ``-``.

What a profile lacks makes a condition null, which counts as false where nothing is negated: ``AND`` and ``OR`` keep it
so. Only below ``NOT`` it is made false by ``coalesce``, which would hide a condition from the indexes elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast

from identity_graph.domain.events import AGGREGATES, EVERY_TYPE, PURCHASE, UNIT
from identity_graph.domain.segments import (
    MAX_SUMMED,
    OF_DATES,
    AggregateIs,
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
    parts_of,
)
from identity_graph.domain.traits import DATE, NAME, TRAIT, TraitType
from identity_graph.store.statements import statement

#: Stand in a statement where the predicate goes, and make it a statement by itself. Where it has the second place too,
#: sums are found there, after everything else was asked: the planner would begin with them.
PLACE = "true /* rule */"
HOLDS = "RETURN true AS holds"
SUMS = f"{HOLDS} /* sums */"
#: Stands for the property in the statements of indexes.
INDEXED = "trait:name"

_COMPARISONS = {"equals": "=", "notEquals": "<>", "in": "IN", "atLeast": ">=", "atMost": "<=", "greaterThan": ">",
                "lessThan": "<", "startsWith": "STARTS WITH", "before": "<", "after": ">"}  # fmt: skip

_MEMBERS = "(p)<-[:MEMBER_OF]-(i:Identifier)"
_TALLIES = f"{_MEMBERS}<-[:COUNTS]-(t:Tally)"
_PURCHASES = f"{_TALLIES} WHERE t.type = '{PURCHASE}'"
#: What makes an aggregate of a profile, by its name; null for who has none. The domain sums in ten-thousandths too.
_AGGREGATES = {
    "favourite_channel": f"{{ MATCH {_TALLIES} WITH t.source AS source, sum(t.count) AS many "
    "ORDER BY many DESC, source LIMIT 1 RETURN source }",
    "first_seen": f"{{ MATCH {_MEMBERS} RETURN min(i.first_seen) AS first }}",
    "last_purchase": f"{{ MATCH {_PURCHASES} RETURN max(t.last) AS last }}",
    "last_seen": f"{{ MATCH {_MEMBERS} RETURN max(i.last_seen) AS last }}",
    "lifetime_value": f"{{ MATCH {_PURCHASES} WITH count(t) AS many, sum(t.amount) AS amount "
    f"RETURN CASE WHEN many > 0 THEN toFloat(amount) / {UNIT}.0 END AS value }}",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A predicate in Cypher and the values of its parameters; ``$now`` is the moment of asking.

    ``sums`` find what must be summed up and compare it, one after the other, as clauses; most rules have none.
    """

    text: str
    params: dict[str, Any]
    sums: str = ""

    def into(self, name: str) -> LiteralString:
        """The statement of that name with this rule in it. The text is the compiler's, not input, hence the cast."""
        text, sums = statement(name).text, f"{self.sums}{HOLDS}"
        if SUMS in text:
            return cast(LiteralString, text.replace(PLACE, self.text).replace(SUMS, sums))
        whole = f"{self.text} AND EXISTS {{ {sums} }}" if self.sums else self.text
        return cast(LiteralString, text.replace(PLACE, whole))


def index_of(name: str, property: str) -> LiteralString:
    """The statement of that name for the index of a profile's property, whose name is checked here."""
    prefix, colon, trait = property.partition(":")
    if prefix + colon not in (TRAIT, DATE) or not NAME.fullmatch(trait):
        raise ValueError("the name of a trait was not checked")
    return cast(LiteralString, statement(name).text.replace(INDEXED, property))


def indexable(rule: Rule) -> set[str]:
    """The properties by whose index profiles that satisfy the rule can be found. Aggregates are summed up."""
    match rule:
        case AllOf(parts) | AnyOf(parts):
            return {name for part in parts for name in indexable(part)}
        case TraitIs(name, tests):
            return {
                _prefix(test) + name
                for test in tests
                if test.operator not in ("contains", "notEquals", "exists") and name not in AGGREGATES
            }
        case _:
            return set()


def satisfying(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    """The profiles that satisfy a rule. ``now`` is in microseconds since 1970.

    Each part stands by itself: an index finds the profiles for one of them, and the others leave fewer.
    """
    return _Compiler(definitions, {"now": now}).all_of([(part, None) for part in parts_of(rule)])


def not_satisfying(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    return satisfying(Not(rule), definitions, now)


def turning(rule: Rule, definitions: Definitions, now: int) -> Compiled:
    """Those that time alone may make satisfy a rule, or not: they would if time made the best of all its conditions,
    and would not if it made the worst."""
    # What is assumed is turned within NOT.
    return _Compiler(definitions, {"now": now}).all_of([*((part, True) for part in parts_of(rule)), (Not(rule), True)])


@dataclass(frozen=True, slots=True)
class _Compiler:
    """``summed`` is how the database finds what it sums up, by what it is called; ``dear`` are those that read events
    one by one.
    """

    definitions: Definitions
    params: dict[str, Any]
    summed: dict[str, str] = field(default_factory=dict[str, str])
    dear: set[str] = field(default_factory=set[str])

    def all_of(self, parts: Iterable[tuple[Rule, bool | None]]) -> Compiled:
        """Profiles that satisfy all of these. Sums are found once each and before what compares them, as the planner
        repeats whatever stands among AND and OR; the dear ones last, of the profiles that the others leave."""
        plain: list[str] = []
        among_sums: list[tuple[str, list[str]]] = []
        for rule, assumed in parts:
            text = self.predicate(rule, assumed)
            if used := [name for name in self.summed if name in text]:
                among_sums.append((text, used))
            else:
                plain.append(text)
        clauses: list[str] = []
        found: list[str] = []
        for text, used in sorted(among_sums, key=lambda part: not self.dear.isdisjoint(part[1])):
            new = [name for name in used if name not in found]
            # The long-term support version takes the sums within for its own, and asks what they are grouped by.
            named = ["p", *found, *(f"head(COLLECT {self.summed[name]}) AS {name}" for name in new)]
            clauses.append(f"WITH {', '.join(named)} WHERE {text} ")
            found += new
        return Compiled(" AND ".join(plain) or "true", self.params, "".join(clauses))

    def _sum(self, name: str, query: str, *, dear: bool = False) -> str:
        """What the query finds, by a name; the same query has one name."""
        name = next((known for known, same in self.summed.items() if same == query), name)
        self.summed[name] = query
        if dear:
            self.dear.add(name)
        return name

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
            case AggregateIs(means=means):
                return self.predicate(means, assumed)
            case InSegment():
                return self.predicate(self.definitions.named(rule), assumed)

    def _value(self, value: Any) -> str:
        name = next((known for known, same in self.params.items() if repr(same) == repr(value)), f"v{len(self.params)}")
        self.params[name] = value
        return f"${name}"

    def _trait(self, test: Test, name: str, assumed: bool | None) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("the name of a trait was not checked")
        of = self._aggregate(name, test) if name in AGGREGATES else f"p.`{_prefix(test)}{name}`"
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
        return self._within(many, leaf.least or None, leaf.most)

    def _within(self, many: str, least: int | None, most: int | None) -> str:
        bounds = [f"{many} >= {self._value(least)}"] if least is not None else []
        if most is not None:
            bounds.append(f"{many} <= {self._value(most)}")
        return f"({' AND '.join(bounds)})" if bounds else "true"

    def _events(self, leaf: Happened, assumed: bool | None) -> str:
        of_type = "true" if leaf.type == EVERY_TYPE else f"t.type = {self._value(leaf.type)}"
        tallies = f"{{ MATCH {_TALLIES} WHERE {of_type}"
        if leaf.within is None:
            return self._counted(leaf, *(f"{tallies} RETURN sum(t.{n}) AS n }}" for n in ("count", "amount")))
        since = f">= $now - {self._value(leaf.within)}"
        of_identifier = "{ MATCH (e:Event) WHERE e.by = i.key AND e.type = type AND e.observed_at " + since
        # Most identifiers have none, which their tallies tell without a look at the events.
        some = f"{tallies} AND t.last {since} WITH DISTINCT i, t.type AS type"
        events = f"{some} WHERE EXISTS {of_identifier} }} RETURN i }}"
        many = f"{some} RETURN sum(COUNT {of_identifier} }}) AS n }}"
        latest = (
            f"{of_identifier} RETURN e.amount AS amount ORDER BY e.observed_at DESC, e.id DESC LIMIT {MAX_SUMMED} }}"
        )
        each = f"reduce(n = 0, amount IN COLLECT {latest} | n + coalesce(amount, 0))"
        amounts = f"{some} RETURN sum({each}) AS n }}"
        holds = self._counted(leaf, many, amounts, dear=True)
        if assumed is None:
            return holds
        # Time takes events away, where there are any.
        return f"({holds} OR EXISTS {events})" if assumed else f"({holds} AND NOT EXISTS {events})"

    def _counted(self, leaf: Happened, many: str, sum: str, *, dear: bool = False) -> str:
        """``many`` and ``sum`` find what is compared, where it is."""
        holds = "true"
        if leaf.least or leaf.most is not None:
            name = self._sum(f"many_{len(self.summed)}_", many, dear=dear)
            holds = self._within(name, leaf.least or None, leaf.most)
        if not leaf.sums:
            return holds
        name = self._sum(f"sum_{len(self.summed)}_", sum, dear=dear)
        return f"({holds} AND {self._within(name, leaf.sum_least, leaf.sum_most)})"

    def _aggregate(self, name: str, test: Test) -> str:
        """The value that a test is about: what sources say, else the aggregate, if a test of this kind can ask it."""
        said, own = f"p.`{TRAIT}{name}`", f"p.`{_prefix(test)}{name}`"
        if test.operator != "exists" and (AGGREGATES[name] is TraitType.DATE) is not (test.operator in OF_DATES):
            return own
        found = self._sum(f"aggregate_{name}_", _AGGREGATES[name])
        either = f"CASE WHEN {said} IS NULL THEN {found} ELSE {own} END"
        return f"coalesce({said}, {found})" if test.operator == "exists" else either

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


def _prefix(test: Test) -> str:
    return DATE if test.operator in OF_DATES else TRAIT


def _any_seen(when: str) -> str:
    return f"EXISTS {{ (p)<-[:MEMBER_OF]-(i:Identifier) WHERE i.last_seen {when} }}"
