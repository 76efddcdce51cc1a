"""What an identifier was before it became what it is: its states and sources, each until when."""


def as_it_was(state: str, sources: str, was: str | None, at: int) -> tuple[str, str]:
    """State and sources at a moment (microseconds since 1970).

    ``was`` has a line for each former one, oldest first: the moment that it ended, the state and the sources, with tabs
    between. These are rare changes; a sight of it by a source that it was seen by before is none.
    """
    for line in was.split("\n") if was else ():
        until, former, of = line.split("\t", 2)
        if at < int(until):
            return former, of
    return state, sources
