"""What is kept because it follows from something else, derived again: golden values, tallies, members of segments.

Each function yields where the graph holds something else, as ``profile ID: NAME`` of a trait, a type of events or a
segment, and never what it holds. Nothing is held in memory but a page of what was read.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from identity_graph.domain.rules import Rules
from identity_graph.services.catalogue import Catalogue
from identity_graph.services.golden import golden_properties, same
from identity_graph.services.live import active_segments
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph
from identity_graph.store.segment_query import not_satisfying, satisfying

#: Profiles that are asked for at once.
PAGE = 1_000

Rows = Iterable[Sequence[Any]]


def other_golden_values(rows: Rows, rules: Rules, catalogue: Catalogue) -> Iterator[str]:
    """Values of golden records that the records do not amount to, from rows of ``verify/golden``."""
    for id, shown, records in rows:
        wanted, found = golden_properties(records, rules, catalogue), dict(shown)
        names = {name for name in wanted.keys() | found.keys() if not same(wanted.get(name), found.get(name))}
        if names and catalogue.full:
            # A name beyond those of a full source shows from the first write on after another source brought it.
            own = frozenset[str]().union(*(catalogue.names.get(source, ()) for source, *_ in records))
            names = {name for name in names if name in found or name.partition(":")[2] in own}
        yield from sorted({f"profile {id}: {name.partition(':')[2]}" for name in names})


def other_tallies(rows: Rows, what: str) -> Iterator[str]:
    """From rows of profile, id, type and source; what is nobody's goes by its own id after the word for it."""
    for profile, id, type, source in rows:
        yield f"profile {profile}: {type} from {source}" if profile else f"{what} {id}"


def other_members(graph: Graph, rules: Rules, at: int) -> Iterator[tuple[str, str]]:
    """Members of segments that their rules leave out, and profiles that they take in, each with what it is.

    What time alone changes is done by a scheduler, so whoever is due at the moment ``at`` (microseconds since 1970) is
    left out; and segments whose definition is still being followed for the first time are.
    """
    current = graph.read_many(lambda tx: active_segments(tx, rules))
    if current is None:
        return
    definitions = current.definitions
    for (name,) in list(graph.stream("verify/segments")):
        rule = definitions.rules[name]
        for what, statement, query in (
            ("segment member that the rule leaves out", "segment/leaving", not_satisfying(rule, definitions, at)),
            ("no segment member though the rule takes it in", "segment/joining", satisfying(rule, definitions, at)),
        ):
            ((elements,),) = graph.read_with(statement, query, timeout=LONG_READ_TIMEOUT, name=name)
            asked = iter(elements)
            while page := list(islice(asked, PAGE)):
                ((found,),) = graph.read("verify/late", elements=page, at=at)
                for id, late in found:
                    if not (late and name in current.timed):
                        yield what, f"profile {id}: {name}"
