"""Rules of segments without a database: what is refused, and how conditions on sums and aggregates turn in time."""

from fractions import Fraction
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identity_graph.domain.events import UNIT, Aggregates, Declared, Tally, What, aggregates
from identity_graph.domain.segments import (
    DAY,
    Definitions,
    Facts,
    InvalidRule,
    Recent,
    misfits,
    parse_rule,
)
from identity_graph.domain.traits import TraitType

DEFINITIONS = Definitions({})


def purchases(**more: Any) -> dict[str, Any]:
    return {"events": {"type": "purchase"} | more}


@pytest.mark.parametrize(
    ("rule", "code", "path"),
    [
        (purchases(sum={}), "INVALID_RULE", ("rule", "events", "sum")),
        (purchases(sum=5), "INVALID_RULE", ("rule", "events", "sum")),
        (purchases(sum={"equals": 5}), "UNKNOWN_OPERATOR", ("rule", "events", "sum", "equals")),
        (purchases(sum={"atLeast": "5"}), "TYPE_MISMATCH", ("rule", "events", "sum", "atLeast")),
        (purchases(sum={"atMost": float("nan")}), "TYPE_MISMATCH", ("rule", "events", "sum", "atMost")),
        (purchases(sum={"atMost": 1e13}), "TYPE_MISMATCH", ("rule", "events", "sum", "atMost")),
    ],
)
def test_a_sum_that_cannot_be_compared_is_refused(rule: Any, code: str, path: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRule) as caught:
        parse_rule(rule)
    assert (caught.value.code, caught.value.path) == (code, path)


@pytest.mark.parametrize(
    ("tests", "types", "code"),
    [
        ({"name": "lifetime_value", "atLeast": 5}, {}, None),
        ({"name": "lifetime_value", "before": "2026-03-01"}, {}, "TYPE_MISMATCH"),
        ({"name": "favourite_channel", "in": ["app"]}, {}, None),
        ({"name": "favourite_channel", "lessThan": 5}, {}, "TYPE_MISMATCH"),
        ({"name": "last_purchase", "withinDays": 5}, {}, None),
        ({"name": "last_purchase", "exists": False}, {}, None),
        ({"name": "last_purchase", "equals": "2026-03-01"}, {}, "TYPE_MISMATCH"),
        ({"name": "last_purchase", "startsWith": "2026"}, {}, "TYPE_MISMATCH"),
        ({"name": "last_purchase", "equals": "2026-03-01"}, {"last_purchase": frozenset({TraitType.DATE})}, None),
        ({"name": "last_purchases", "exists": True}, {}, "UNKNOWN_TRAIT"),
    ],
)
def test_aggregates_are_known_without_a_source_and_asked_what_they_can_answer(
    tests: Any, types: Any, code: str | None
) -> None:
    assert [one.code for one in misfits(parse_rule({"trait": tests}), types)] == ([code] if code else [])


def test_a_sum_of_some_days_turns_when_an_amount_leaves_them_also_a_refund() -> None:
    rule = parse_rule(purchases(withinDays=10, sum={"atLeast": 100}))
    recent = {"purchase": Recent([(DAY, -50 * 10_000), (2 * DAY, 70 * 10_000), (3 * DAY, 60 * 10_000)])}
    facts = Facts({}, {}, Aggregates(), recent)
    assert not DEFINITIONS.holds(rule, facts, 4 * DAY)
    assert DEFINITIONS.flips(rule, facts, 4 * DAY) == 11 * DAY + 1
    assert DEFINITIONS.holds(rule, facts, 11 * DAY + 1)
    assert DEFINITIONS.flips(rule, facts, 11 * DAY + 1) == 12 * DAY + 1
    assert DEFINITIONS.flips(rule, facts, 12 * DAY + 1) is None


def test_a_moment_that_adds_up_turns_as_a_date_does() -> None:
    rule = parse_rule({"trait": {"name": "last_seen", "withinDays": 2}})
    facts = Facts({}, {}, Aggregates(0, 5 * DAY))
    assert DEFINITIONS.holds(rule, facts, 7 * DAY)
    assert DEFINITIONS.flips(rule, facts, 6 * DAY) == 7 * DAY + 1
    said = Facts({"trait:last_seen": "long ago"}, {}, Aggregates(0, 5 * DAY))
    assert not DEFINITIONS.holds(rule, said, 6 * DAY)


def test_of_what_must_hold_only_what_time_does_not_change_is_steady() -> None:
    late, bought = {"seen": {"withinDays": 3}}, purchases(count={"atLeast": 1})
    named = Definitions({"recent": parse_rule(late), "buyers": parse_rule(bought)})
    both = {"any": [late, bought]}
    members: dict[str, dict[str, Any]] = {name: {"segment": {"name": name}} for name in ("recent", "buyers")}
    rule = parse_rule({"all": [late, bought, both, {"not": both}, members["recent"], members["buyers"]]})
    assert named.steady(rule) == (parse_rule(bought), parse_rule(members["buyers"]))
    assert named.steady(parse_rule(both)) == ()


# --- Aggregates that the rules declare

TYPES = ("page", "purchase")
#: Operands lie among, between and beyond the counts and sums that there are.
NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 2, 2.5, 3, 0.1, 0.3, 0.29999, 0.00005, -0.2, 1e6, 1e300, -1e300])
ASKED = NUMBERS | st.sampled_from([True, False, "1", "x"])
ONE_TEST = st.one_of(
    st.tuples(st.sampled_from(["atLeast", "atMost", "greaterThan", "lessThan"]), NUMBERS),
    st.tuples(st.sampled_from(["equals", "notEquals"]), ASKED),
    st.tuples(st.just("in"), st.lists(ASKED, min_size=1, max_size=4)),
    st.tuples(st.just("exists"), st.booleans()),
)
NUMERIC = ONE_TEST.map(lambda one: dict([one])) | st.lists(ONE_TEST, min_size=2, max_size=3).map(dict)
DECLARED = st.builds(Declared, st.sampled_from(["", *TYPES]), st.sampled_from(What), st.sampled_from([None, 1, 2, 5]))
HAPPENED = st.lists(
    st.tuples(st.sampled_from(TYPES), st.integers(0, 6), st.sampled_from([1_000, 10_000, -2_000, 1])),
    max_size=4,
)
COMPARE = {"atLeast": ge, "atMost": le, "greaterThan": gt, "lessThan": lt, "equals": eq, "notEquals": ne}


def is_number(one: Any) -> bool:
    return isinstance(one, int | float) and not isinstance(one, bool)


def passes(operator: str, operand: Any, value: Fraction | None) -> bool:
    """What an operator means for a trait that is a number or is not there; no text and no boolean is a number."""
    if operator == "exists":
        return (value is not None) is operand
    if value is None:
        return False
    if operator == "in":
        return any(passes("equals", one, value) for one in operand)
    if not is_number(operand):
        return operator == "notEquals"
    return COMPARE[operator](value, Fraction(str(operand)))


def known(happened: list[tuple[str, int, int]]) -> Facts:
    """What is known of who did this: types, days and amounts."""
    recent = {
        type: Recent((day * DAY, amount) for other, day, amount in happened if type in ("", other))
        for type in ("", *TYPES)
    }
    tallies = [Tally(type, "web", 1, day * DAY, day * DAY, amount) for type, day, amount in happened]
    return Facts({"trait:sums": 7.0}, {}, aggregates(tallies, 0, 0), recent)


@settings(max_examples=4 * settings().max_examples)
@given(DECLARED, NUMERIC, HAPPENED, st.integers(6, 12))
def test_a_declared_aggregate_is_asked_as_the_number_that_its_events_add_up_to(
    of: Declared, tests: dict[str, Any], happened: list[tuple[str, int, int]], day: int
) -> None:
    """At any moment, whatever a source says of its name; and time turns it when it turns."""
    rule = parse_rule({"trait": {"name": "sums"} | tests}, {"sums": of})

    def holds(at: int) -> bool:
        counted = [
            amount
            for type, day, amount in happened
            if of.type in ("", type) and (of.days is None or day * DAY >= at - of.days * DAY)
        ]
        total = len(counted) if of.what is What.COUNT else Fraction(sum(counted), UNIT)
        value = Fraction(total) if counted else None
        return all(passes(name, one, value) for name, one in tests.items())

    facts, at = known(happened), day * DAY
    assert DEFINITIONS.holds(rule, facts, at) is holds(at)
    turns = DEFINITIONS.flips(rule, facts, at)
    later = [at + n * DAY + more for n in range(8) for more in (0, 1)]
    assert turns == next((moment for moment in later if holds(moment) is not holds(at)), None)


@pytest.mark.parametrize("operator", [*COMPARE, "in"])
@pytest.mark.parametrize("of", [Declared(what=what, days=days) for what in What for days in (None, 1)])
def test_an_operator_is_exact_on_and_beside_each_value(of: Declared, operator: str) -> None:
    asked = [eighths / 8 for eighths in range(-4, 29)] + [0.1, 0.2, 0.3, 0.30001, 0.00005, 1.00001, 0.99999]
    for many in range(4):
        for amount in (2_500, 1_000, -1):
            facts = known([("page", 1, amount)] * many)
            value = Fraction(many * amount, UNIT) if of.what is What.SUM else Fraction(many)
            for one in asked:
                operand = [one, 7] if operator == "in" else one
                rule = parse_rule({"trait": {"name": "sums", operator: operand}}, {"sums": of})
                assert DEFINITIONS.holds(rule, facts, DAY) is passes(operator, operand, value if many else None), one


@pytest.mark.parametrize(
    ("of", "tests", "code", "operator"),
    [
        (Declared(), {"atLeast": 1_000_000, "notEquals": 2.5, "in": [1], "exists": True}, None, ""),
        (Declared(), {"atLeast": 1_000_001}, "TYPE_MISMATCH", "atLeast"),
        (Declared(days=3), {"lessThan": 1_001}, "TYPE_MISMATCH", "lessThan"),
        (Declared(what=What.SUM, days=3), {"lessThan": -1e12}, None, ""),
        (Declared(what=What.SUM), {"lessThan": 1e13}, "TYPE_MISMATCH", "lessThan"),
        (Declared(), {"atMost": float("inf")}, "TYPE_MISMATCH", "atMost"),
        (Declared(), {"equals": "3"}, "TYPE_MISMATCH", "equals"),
        (Declared(), {"in": [1, True]}, "TYPE_MISMATCH", "in"),
        (Declared(), {"contains": 1}, "TYPE_MISMATCH", "contains"),
        (Declared(), {"startsWith": "1"}, "TYPE_MISMATCH", "startsWith"),
        (Declared(), {"before": "2026-03-01"}, "TYPE_MISMATCH", "before"),
        (Declared(), {"withinDays": 3}, "TYPE_MISMATCH", "withinDays"),
    ],
)
def test_what_no_number_answers_is_refused_and_holds_for_nobody(
    of: Declared, tests: dict[str, Any], code: str | None, operator: str
) -> None:
    """A segment may ask it from before the aggregate was declared, so it is read all the same."""
    rule = parse_rule({"not": {"trait": {"name": "sums"} | tests}}, {"sums": of})
    found = [(one.code, one.path) for one in misfits(rule, {})]
    assert found == ([(code, ("rule", "not", "trait", operator))] if code else [])
    if code and operator not in ("lessThan", "atMost", "in"):
        assert DEFINITIONS.holds(rule, known([("page", 1, 30_000)] * 3), DAY)


def test_many_values_are_many_conditions() -> None:
    rule = parse_rule({"trait": {"name": "sums", "in": list(range(200))}}, {"sums": Declared()})
    with pytest.raises(InvalidRule) as caught:
        DEFINITIONS.check(None, rule)
    assert caught.value.code == "RULE_TOO_LARGE"
    DEFINITIONS.check(None, parse_rule({"trait": {"name": "sums", "in": list(range(1, 101))}}, {"sums": Declared()}))


def test_an_explanation_names_the_aggregate_and_tells_its_value() -> None:
    declared = {"sums": Declared("purchase", What.SUM, 5), "pages": Declared("page")}
    raw = {
        "any": [{"trait": {"name": "sums", "greaterThan": 1, "lessThan": 5}}, {"trait": {"name": "pages", "in": [4]}}]
    }
    facts = known([("purchase", 1, 20_000), ("purchase", 2, 5_000)])
    told = [
        (one.path, one.words, one.holds, one.actual)
        for one in DEFINITIONS.explain(parse_rule(raw, declared), facts, DAY)
    ]
    assert told == [
        (("rule",), "any of 2", True, None),
        (("rule", "any", "0"), "sums greaterThan 1.0 and lessThan 5.0", True, 2.5),
        (("rule", "any", "1"), "pages in [4.0]", False, None),
    ]
