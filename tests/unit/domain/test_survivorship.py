"""Laws of the golden record."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.rules import Survivorship, TraitRule
from identity_graph.domain.survivorship import GoldenTrait, Traits, golden_record, golden_values

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["", " ", "a", "b"]), st.lists(st.integers(0, 1))
)
RECORDS = st.lists(
    st.builds(
        Traits,
        source=st.sampled_from(["crm", "web"]),
        observed_at=st.integers(0, 3),
        values=st.dictionaries(st.sampled_from(["x", "y"]), VALUES),
    ),
    max_size=6,
)


def says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


@given(RECORDS, st.randoms())
def test_the_order_of_records_does_not_matter(records: list[Traits], random: Any) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)
    golden = golden_record(records)
    assert golden_record(shuffled) == golden == golden_record(records + records)
    assert golden_values(shuffled) == {trait.name: trait.chosen.value for trait in golden}


@given(RECORDS)
def test_the_newest_value_survives_and_no_other_is_lost(records: list[Traits]) -> None:
    golden = {trait.name: trait for trait in golden_record(records)}
    for name in ("x", "y"):
        said = [
            (r.observed_at, r.values[name]) for r in records if name in r.values and not says_nothing(r.values[name])
        ]
        assert (name in golden) == bool(said)
        if said:
            trait = golden[name]
            assert trait.chosen.observed_at == max(at for at, _ in said)
            shown = [trait.chosen, *trait.alternatives]
            assert [(v.observed_at, v.source) for v in shown] == sorted(
                ((v.observed_at, v.source) for v in shown), reverse=True
            )
            # True and 1 are equal in Python and different in JSON.
            assert {repr(v.value) for v in shown} == {repr(value) for _, value in said}
            assert len({repr(v.value) for v in shown}) == len(shown)


def test_a_value_is_shown_with_whoever_said_it_last() -> None:
    records = [Traits("crm", 1, {"x": "a"}), Traits("web", 3, {"x": "b"}), Traits("pos", 2, {"x": "a"})]
    (trait,) = golden_record(records)
    assert isinstance(trait, GoldenTrait)
    assert (trait.chosen.value, trait.chosen.source, trait.rule) == ("b", "web", "newest")
    assert [(a.value, a.source, a.observed_at) for a in trait.alternatives] == [("a", "pos", 2)]


def test_objects_with_their_keys_in_another_order_are_one_value() -> None:
    (trait,) = golden_record([Traits("a", 1, {"x": {"p": 1, "q": 2}}), Traits("b", 2, {"x": {"q": 2, "p": 1}})])
    assert (trait.chosen.source, trait.alternatives) == ("b", ())


# --- Rules of traits

CRITERIA = st.lists(st.sampled_from(list(Survivorship)), max_size=3, unique=True)
RULE = st.builds(TraitRule, CRITERIA.map(tuple), st.sampled_from([("crm",), ("web", "crm"), ("pos",)]))
MIXED = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from(["a", "bb", "2020-01-01", "2021-01-01T10:00:00Z"]),
    st.lists(st.integers(0, 2), max_size=2),
)
NAMED = st.lists(
    st.builds(
        Traits,
        source=st.sampled_from(["crm", "web", "pos"]),
        observed_at=st.integers(0, 2),
        values=st.fixed_dictionaries({"x": MIXED}),
        record=st.sampled_from("rst"),
        reason=st.sampled_from([None, None, None, "seen the passport"]),
    ),
    min_size=1,
    max_size=6,
)


@given(NAMED, RULE, st.randoms())
def test_by_any_rule_order_does_not_matter_and_no_value_is_lost(
    records: list[Traits], rule: TraitRule, random: Any
) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)
    (golden,) = golden_record(records, {"x": rule})
    assert golden_record(shuffled, {"x": rule}) == [golden]
    assert golden_values(shuffled, {"x": rule}) == {"x": golden.chosen.value}
    shown = {repr(v.value) for v in (golden.chosen, *golden.alternatives)}
    assert shown >= {repr(r.values["x"]) for r in records}


@given(NAMED, RULE)
def test_a_persons_word_comes_before_all_records(records: list[Traits], rule: TraitRule) -> None:
    (golden,) = golden_record(records, {"x": rule})
    stated = [repr(r.values["x"]) for r in records if r.is_override]
    assert (golden.rule == "override") is bool(stated)
    assert not stated or repr(golden.chosen.value) in stated


@pytest.mark.parametrize(
    ("rule", "expected", "decided"),
    [
        ([], 3, "newest"),
        (["newest"], 3, "newest"),
        (["oldest"], 7, "oldest"),
        (["most_frequent"], 5, "most_frequent"),
        (["source_priority"], 7, "source_priority"),
        (["max"], 7, "max"),
        (["min"], 3, "min"),
        (["union"], [3, 5, 7], "union"),
        (["longest"], 3, "newest"),
        (["longest", "max"], 7, "max"),
        (["any_true", "oldest"], 7, "oldest"),
    ],
)
def test_each_criterion_and_what_decides_where_it_does_not(rule: list[str], expected: Any, decided: str) -> None:
    said = [("crm", 1, 7), ("web", 2, 5), ("pos", 3, 5), ("web", 4, 3)]
    records = [Traits(source, at, {"x": value}, f"r{at}") for source, at, value in said]
    sources = ("crm",) if "source_priority" in rule else ()
    (golden,) = golden_record(records, {"x": TraitRule(tuple(map(Survivorship, rule)), sources)})
    assert (golden.chosen.value, golden.rule) == (expected, decided)


def test_a_criterion_that_decides_nothing_is_not_named() -> None:
    rule = TraitRule((Survivorship.SOURCE_PRIORITY, Survivorship.MAX), ("crm",))
    said = [Traits("web", at, {"x": value}, "r") for at, value in enumerate(("b", "a", 2, 1, "b", "b"))]
    assert [golden_record(some, {"x": rule})[0].rule for some in (said, said[:2], said[:1])] == [
        "max",
        "newest",
        "newest",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), ([1, "a"], [1.0, "a"]), ({"p": [0]}, {"p": [-0.0]}), (10**17, 1e17), ([1e300, 1], [1e300, 1.0])],
)
def test_equal_numbers_are_one_value(one: Any, other: Any) -> None:
    records = [Traits("web", at, {"x": value}, "r") for at, value in enumerate([one, other, "z"])]
    (golden,) = golden_record(records, {"x": TraitRule((Survivorship.MOST_FREQUENT,))})
    assert (golden.chosen.value, golden.chosen.observed_at) == (one, 1)
    assert [a.value for a in golden.alternatives] == ["z"]


@given(st.lists(st.booleans(), min_size=1, max_size=5))
def test_consents(values: list[bool]) -> None:
    records = [Traits("web", at, {"x": value}) for at, value in enumerate(values)]
    for one, combined in ((Survivorship.ANY_TRUE, any(values)), (Survivorship.ALL_TRUE, all(values))):
        assert golden_values(records, {"x": TraitRule((one,))}) == {"x": combined}


def test_numbers_come_before_dates_and_both_before_texts() -> None:
    records = [Traits("web", 9, {"x": value}) for value in ("zz", "2020-01-01", "2021-01-01", 1, -3, True)]
    for one, expected in ((Survivorship.MAX, 1), (Survivorship.MIN, -3)):
        assert golden_values(records, {"x": TraitRule((one,))}) == {"x": expected}
    assert golden_values(records[:3], {"x": TraitRule((Survivorship.MIN,))}) == {"x": "2020-01-01"}
