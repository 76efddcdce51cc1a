"""The first load of an empty graph: files are gathered and handed to Neo4j's own import, which is far faster."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from identity_graph.domain.rules import Rules
from identity_graph.services.bulk_load import Files, Gathering, Load
from identity_graph.services.ingest import Committed, Report, Source, Tally
from identity_graph.services.ingest_files import UnreadableFile
from identity_graph.services.ingest_worker import reading
from identity_graph.services.submit import now

#: Observations gathered at most; what each takes of half of the machine's free memory, as Neo4j's import needs some
#: too; and traits at most. In bytes.
MOST = 2_000_000
EACH = 3_000
MOST_TRAITS = 256 << 20


@dataclass(slots=True)
class FirstLoad:
    """What was gathered, and how far of each file; the rest of them is streamed after the import."""

    gathering: Gathering
    places: dict[str, Committed] = field(default_factory=dict[str, Committed])

    def write(self, folder: Path) -> tuple[Files, Files]:
        """Write the files for Neo4j's import, places included: nodes by label, and relationships by type."""
        at, rules = now(), self.gathering.rules
        others = {
            "Rules": [
                {
                    "version": rules.version,
                    "text": rules.as_json(),
                    "at:long": at,
                    "settled_at:long": at,
                    "active:boolean": True,
                }
            ],
            "Ingest": [{"key": key, "place": c.as_text(), "at:long": at} for key, c in self.places.items()],
        }
        return Load(self.gathering).write(folder, at, others)


def gather(
    sources: Sequence[tuple[Source, Report]], rules: Rules, told: Callable[[int], None], stopped: Callable[[], bool]
) -> FirstLoad:
    """Read files as far as memory allows. ``told`` gets the bytes done of all; nothing is in the graph yet."""
    found = FirstLoad(Gathering(rules))
    most = min(MOST, psutil.virtual_memory().available // (2 * EACH))
    before = 0
    for source, report in sources:
        begun = time.monotonic()
        tally = Tally(source, report)
        tally.begin(Committed())
        try:
            with reading(source.task, workers=2) as batches:
                report.finished = True
                for batch in batches:
                    known, reused = found.gathering.add(batch)
                    tally.add(batch, len(batch.packed) - known - len(reused), reused)
                    told(before + min(batch.place.bytes, source.size))
                    if stopped() or len(found.gathering) >= most or found.gathering.traits_size >= MOST_TRAITS:
                        report.finished = False
                        break
        except UnreadableFile as e:
            report.failure, report.finished = str(e), False
        report.seconds = time.monotonic() - begun
        found.places[source.key] = tally.committed
        before += source.size
        if not (report.finished or report.failure):
            break
    return found
