"""When an identifier was seen, as it was known at a moment: what was written down at each change, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.past import first_as_it_was, last_as_it_was

#: First and last sight after each of some changes.
CHANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8)


@given(CHANGES)
def test_what_is_told_of_a_moment_is_what_was_true_then(changes: list[tuple[int, int]]) -> None:
    """Each value stands from its own number on, until the next one's."""
    firsts: list[int] = []
    since: int | None = None
    for at, ((first, last), (then_first, then_last)) in enumerate(zip(changes[1:], changes, strict=False), 1):
        firsts += [at, then_first] if first != then_first else []
        since = at if last != then_last else since
    for at, (first, last) in enumerate(changes):
        assert first_as_it_was(changes[-1][0], firsts or None, at) == first
        assert last_as_it_was(changes[-1][1], since, at) == (last if since is None or at >= since else None)
