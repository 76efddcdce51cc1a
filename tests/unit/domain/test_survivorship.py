"""Laws of the golden record."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.survivorship import GoldenTrait, Traits, golden_record

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
    assert golden_record(shuffled) == golden_record(records) == golden_record(records + records)


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
