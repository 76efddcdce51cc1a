"""What an identifier was before it became what it is, each time until when.

States, sources and when it was first seen change rarely, so all former ones are kept. When it was last seen changes
with nearly each sight, and to keep that too would cost each of them: of a moment before it changed last nothing is
said, rather than what is known by now.
"""

from collections.abc import Sequence


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


def first_as_it_was(first: int, firsts: Sequence[int] | None, at: int) -> int:
    """When it had been seen first, as that was known at a moment.

    ``firsts`` has two numbers for each time before, oldest first: the moment that it ended, and when it was.
    """
    former = firsts or ()
    return next((former[place + 1] for place in range(0, len(former), 2) if at < former[place]), first)


def last_as_it_was(last: int, since: int | None, at: int) -> int | None:
    """When it had been seen last, as that was known at a moment; None where it is not kept. It is so ``since`` then."""
    return None if since is not None and at < since else last
