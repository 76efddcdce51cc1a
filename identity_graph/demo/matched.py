"""What names, dates and places say where identifiers say nothing: in the graph, and in one file of one's own."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from identity_graph.domain.rules import Rules
from identity_graph.services import models
from identity_graph.services.match_records import Matching, known_models
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph
from matching import pipeline, report
from matching.pipeline import Outcome
from matching.scorer import Score

#: An example that shows something and is read at a glance has about so many records.
GOOD_SIZE = 5
#: Columns of an example.
MOST_COLUMNS = 6


class Example(NamedTuple):
    """One cluster: its columns and records, and how the first of them compares with the one at ``other``, together
    with the weight of the prior in bits."""

    columns: list[str]
    rows: list[tuple[str, ...]]
    other: int
    score: Score
    prior: float


class Learned(NamedTuple):
    """A model that matches the graph: since when, in microseconds since 1970, and the seconds of learning and of
    matching; both 0 where an earlier run did it."""

    since: int
    learning: float
    matching: float


def learn(graph: Graph, rules: Rules, folder: Path, progress: Callable[[str], None]) -> Learned:
    """Train a model on the graph's records and let it match them all, unless one does already.

    Raises :class:`UnusableModel` where they cannot carry one.
    """
    active = next((model for model in known_models(graph) if model.active), None)
    if active:
        return Learned(active.activated_at or 0, 0, 0)
    begun = time.monotonic()
    model = models.train(graph, rules, folder, progress)
    trained, since = time.monotonic(), now()
    models.activate(Matching(graph, rules, folder, now), model.version, lambda what, _: progress(f"{what} records"))
    return Learned(since, trained - begun, time.monotonic() - trained)


class Matched(NamedTuple):
    """How many records there are, of how many people, and the page that explains it."""

    records: int
    clusters: int
    page: Path
    example: Example | None


def match(file: Path, mapping: Path | None, into: Path, progress: Callable[[str], None]) -> Matched:
    """Train on a file, cluster it, and write the report into a folder.

    Raises :class:`matching.errors.MatchingError` where the file cannot carry a model.
    """
    logging.getLogger("splink").setLevel(logging.WARNING)
    outcome = pipeline.run([file], mapping, progress=progress)
    progress("writing the report")
    page = into / f"{file.stem}.report.html"
    page.write_text(report.render(outcome, file.name), "utf-8")
    labels: list[int] = outcome.clusters.label.tolist()
    sizes = Counter(labels)
    several = [(abs(size - GOOD_SIZE), label) for label, size in sizes.items() if size > 1]
    chosen = min(several)[1] if several else None
    members = [n for n, label in enumerate(labels) if label == chosen]
    example = _example(outcome, members[: 2 * GOOD_SIZE]) if members else None
    return Matched(len(labels), len(sizes), page, example)


def _example(outcome: Outcome, members: Sequence[int]) -> Example:
    """These records by the columns in which they have texts. They are named by their places in the outcome."""
    table = outcome.prepared.con.table("records").filter(f"rid IN ({', '.join(map(str, members))})").order("rid")
    names = [name for name in outcome.prepared.plan.columns if not name.endswith(("_alt", "_user"))]
    found = table.select(*names).fetchall()
    filled = [n for n in range(len(names)) if any(isinstance(row[n], str) for row in found)][:MOST_COLUMNS]
    rows = [tuple(str(row[n] or "") for n in filled) for row in found]
    other = next((n for n, row in enumerate(rows) if row != rows[0]), 1)
    pair = outcome.record_ids[members[0]], outcome.record_ids[members[other]]
    return Example([names[n] for n in filled], rows, other, *pipeline.explain(outcome.prepared, outcome.model, *pair))
