"""Scores without a database: nothing later than the moment is looked at, and how predictions are judged."""

from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.scores import (
    DAY,
    Person,
    Task,
    auc,
    brier,
    feature_names,
    features,
    reliability,
)

TASK = Task("buys_soon", "purchase", 10)
TYPES = ("purchase", "page")
EVENT = st.tuples(
    st.sampled_from([*TYPES, "other"]),
    st.sampled_from(["web", "app"]),
    st.integers(0, 100).map(lambda day: day * DAY),
    st.integers(-50_000, 50_000),
)
MEMBER = st.tuples(st.just("user_id:u"), st.integers(0, 100).map(lambda day: day * DAY), st.booleans())
PEOPLE = st.builds(Person, st.just("p"), st.lists(MEMBER, min_size=1, max_size=4), st.lists(EVENT, max_size=12))


@given(one=PEOPLE, other=PEOPLE, day=st.integers(0, 100))
def test_what_is_later_than_the_moment_changes_no_feature(one: Person, other: Person, day: int) -> None:
    at = day * DAY
    later = [event for event in other.events if event[2] > at]
    since = [member for member in other.members if member[1] > at]
    more = Person("p", [*one.members, *since], [*later, *one.events])
    assert features(more, at, TYPES) == features(one, at, TYPES)
    assert len(features(one, at, TYPES)) == len(feature_names(TYPES))


@given(person=PEOPLE, day=st.integers(0, 100))
def test_what_is_foretold_is_what_comes_after_the_moment_and_within_the_days(person: Person, day: int) -> None:
    days = {at // DAY for type, _, at, _ in person.events if type == "purchase"}
    assert person.does(TASK, day * DAY) is any(day + n in days for n in range(1, 11))


GUESSES = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=30)


@given(guesses=GUESSES.filter(lambda some: len({y for _, y in some}) == 2))
def test_judgements_are_those_of_their_definitions(guesses: list[tuple[float, bool]]) -> None:
    expected, happened = [p for p, _ in guesses], [y for _, y in guesses]
    pairs = [(p > q) + (p == q) / 2 for p, y in guesses if y for q, z in guesses if not z]
    assert abs(auc(expected, happened) - sum(pairs) / len(pairs)) < 1e-9
    assert abs(brier(expected, happened) - sum((p - y) ** 2 for p, y in guesses) / len(guesses)) < 1e-9
    bins = list(reliability(expected, happened))
    assert sum(b.people for b in bins) == len(guesses)
    assert abs(sum(b.people * b.observed for b in bins) - sum(happened)) < 1e-9
    assert [b.expected for b in bins] == sorted(b.expected for b in bins)
