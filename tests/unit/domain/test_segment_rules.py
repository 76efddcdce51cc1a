"""Rules of segments without a database: what is refused, and how conditions on sums and aggregates turn in time."""

from typing import Any

import pytest

from identity_graph.domain.events import Aggregates
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
