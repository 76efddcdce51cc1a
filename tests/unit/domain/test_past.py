"""When an identifier was seen, as it was known at a moment: what was written down at each change, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from identity_graph.domain.past import KEPT, as_it_was_seen

#: First and last sight after each of some changes.
CHANGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=2 * KEPT)


@given(CHANGES)
def test_what_is_told_of_a_moment_is_what_was_true_then(changes: list[tuple[int, int]]) -> None:
    """Each value stands from its own number on, until the next one's."""
    former = [n for until, (first, last) in enumerate(changes[:-1], 1) for n in (until, first, last)][-3 * KEPT :]
    for at, then in enumerate(changes):
        told = as_it_was_seen(*changes[-1], former or None, at)
        assert told == then or (told == (None, None) and len(changes) - at > KEPT)
