"""What an identifier was before it became what it is, each time until when.

States and sources change rarely, so all former ones are kept. When it was first and last seen changes with nearly each
sight, so the last :data:`KEPT` are: more than most identifiers ever have, in some 300 bytes. Of a moment before those
nothing is said, rather than what is known by now.
"""

from collections.abc import Sequence

#: As many as `batch/write` keeps.
KEPT = 16


def as_it_was(state: str, sources: str, was: str | None, at: int) -> tuple[str, str]:
    """State and sources at a moment (microseconds since 1970).

    ``was`` has a line for each former one, oldest first: the moment that it ended, the state and the sources, with tabs
    between.
    """
    for line in was.split("\n") if was else ():
        until, former, of = line.split("\t", 2)
        if at < int(until):
            return former, of
    return state, sources


def as_it_was_seen(first: int, last: int, seen: Sequence[int] | None, at: int) -> tuple[int | None, int | None]:
    """When it had been seen first and last, as that was known at a moment; None where it is not kept.

    ``seen`` has three numbers for each time before, oldest first: the moment that it ended, first and last.
    """
    former = seen or ()
    for place in range(0, len(former), 3):
        if at < former[place]:
            # There may have been others before the first of so many.
            forgotten = place == 0 and len(former) == 3 * KEPT
            return (None, None) if forgotten else (former[place + 1], former[place + 2])
    return first, last
