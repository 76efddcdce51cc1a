"""Models of a graph: trained on its own records, compared with what is matched now, activated and taken back."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from identity_graph.domain.evidence import Key, LinkKind
from identity_graph.domain.matches import Anchored, Match, MatchEvidence, UnusableModel, known_persons, match
from identity_graph.domain.rules import Rules
from identity_graph.services.match_records import SKEW, KnownModel, Matching, known_models, prepared_rows
from identity_graph.services.observe import ACTIVATING, new_id
from identity_graph.services.simulation import WholeEvidence
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph

#: Records of one read.
PAGE = 1_000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a model would change: profiles that merge into others and parts that split off, then what there is now and
    would be of proposals and of matched links that join."""

    merges: int
    splits: int
    proposals: tuple[int, int]
    joining: tuple[int, int]


def train(graph: Graph, rules: Rules, models: Path, progress: Progress) -> KnownModel:
    """Train a model on all records of the graph. It matches nothing before it is activated.

    It learns from those that share an identifier of a unique namespace, where there are enough.

    Raises :class:`UnusableModel`.
    """
    from identity_graph.matcher.training import train_model

    with exported(graph, progress, known_records(graph, rules)) as (files, _):
        model = train_model(files, models, progress)
    trained_at = round(datetime.fromisoformat(model.trained_at).timestamp() * 1_000_000)
    said = {"version": model.version, "trained_at": trained_at, "text": model.words}
    graph.write(lambda tx: tx.do("model/keep", auto=model.auto, review=model.review, **said))
    return next(found for found in known_models(graph) if found.version == model.version)


def notes(models: Path, version: str) -> list[str]:
    """What the training of a model has to say, in sentences."""
    from identity_graph.matcher.compiled import Compiled

    return list(Compiled.load(models, version).notes)


@contextmanager
def exported(
    graph: Graph, progress: Progress, known: Mapping[str, str] | None = None
) -> Generator[tuple[list[Path], dict[str, Key]]]:
    """All records as Parquet files that last as long as the block, and the identifier that holds each.

    ``known`` tells of some records, by their keys, whose they are.
    """
    from identity_graph.matcher.training import write_records

    anchors: dict[str, Key] = {}

    def rows() -> Iterator[tuple[str, str, Mapping[str, Any], str | None]]:
        for page in pages(graph):
            for key, _, source, traits, _, anchor in page:
                anchors[key] = anchor
                yield key, source, orjson.loads(traits), known.get(key) if known else None

    with tempfile.TemporaryDirectory(prefix="identity-graph-") as folder:
        progress("reading the graph's records")
        yield write_records(rows(), Path(folder)), anchors


def known_records(graph: Graph, rules: Rules) -> dict[str, str]:
    """Whose records are, by their keys, as far as identifiers of unique namespaces tell."""
    unique = [name for name, rule in rules.namespaces.items() if rule.unique]
    carried: dict[str, list[Key]] = {}
    for page in pages(graph):
        anchor_of = {row[0]: row[5] for row in page}
        anchors = sorted(set(anchor_of.values()))
        ((found,),) = graph.read("record/carried", anchors=anchors, namespaces=unique, most=len(unique) + 1)
        seen = dict(found)
        carried |= {key: seen.get(anchor, []) for key, anchor in anchor_of.items()}
    return known_persons(carried)


def pages(graph: Graph) -> Iterator[list[list[Any]]]:
    """All records in the order of their keys, as `record/page` returns them."""
    after = ""
    while True:
        ((found,),) = graph.read("record/page", after=after, limit=PAGE)
        if not found:
            return
        yield found
        after = found[-1][0]


def matches_of(graph: Graph, models: Path, version: str, progress: Progress) -> dict[str, Match]:
    """The links that a model would make of all records, by id; their evidence lacks the levels."""
    from identity_graph.matcher.compiled import Compiled
    from identity_graph.matcher.training import all_pairs

    auto = Compiled.load(models, version).auto
    found: dict[str, Match] = {}
    with exported(graph, progress) as (files, anchors):
        for one, other, weight in all_pairs(files, models, version, progress):
            evidence = MatchEvidence(version, weight, 0.0, ())
            made = match(Anchored(one, anchors[one]), Anchored(other, anchors[other]), evidence, auto)
            if made:
                found[made.id] = made
    return found


def difference(graph: Graph, rules: Rules, wanted: Mapping[str, Match], progress: Progress) -> Difference:
    """What would become of the profiles with these matched links instead of the present ones, recomputed from all
    evidence."""
    progress("working out what would change")
    whole = WholeEvidence(graph)
    joining = [m.claim(0).link for m in wanted.values() if m.conducts]
    others = [link for link in whole.links if link.kind is not LinkKind.MATCHED]
    then = whole.compact(rules, [*others, *joining]).partition()
    matched = len(whole.links) - len(others)
    proposed = len(wanted) - len(joining)
    return Difference(*whole.moves(then), (whole.proposals, proposed), (matched, len(joining)))


def activate(
    matching: Matching, version: str | None, told: Callable[[str, int], None], patience: float = 0.0, actor: str = ""
) -> None:
    """Let a model match from now on, and match all records by it; None takes all matched links back.

    May be stopped at any moment: done again it goes on. ``told`` gets what is done and of how many records more.
    Other processes notice the new model within ``patience`` seconds; what they write until then is found by a second
    look.
    """
    graph = matching.graph
    begun = time.monotonic()
    said = {"act": new_id(), "actor": actor, "reason": "match activate"}
    at = matching.clock()
    graph.write(lambda tx: tx.do("model/activate", version=version, at=at, **said))
    matching.look_again()
    model = matching.active()
    if model is None:
        for page in pages(graph):
            matching.withdraw([row[0] for row in page])
            told("taking back", len(page))
        return
    # Earlier where it was active before, and its activation was stopped.
    since = min([at, *(row[2] for row in graph.read("model/active"))]) - SKEW
    while True:
        last = time.monotonic() - begun >= patience
        found = 0
        for page in pages(graph):
            rows = [row for row in page if row[4] != model.version]
            if rows:
                prepared = prepared_rows(model, rows)
                graph.write(
                    lambda tx, rows=prepared: tx.do(
                        "record/prepare", rows=rows, model=model.version, unmatched=ACTIVATING
                    )
                )
                found += len(rows)
                told("preparing", len(rows))
        if found:
            graph.write(lambda tx: tx.do("crowd/find", most=model.block_cap), timeout=LONG_READ_TIMEOUT)
        while done := matching.sweep(model, ACTIVATING, since):
            told("matching", done)
        if last and not found:
            while matching.catch_up():  # where a value came to be shared by too many meanwhile
                pass
            return
        if not found:
            time.sleep(min(1.0, patience))


def named(graph: Graph, version: str | None, previous: bool) -> str | None:
    """The version that is to be activated: the one given, or the one before the present. None: no model.

    Raises :class:`UnusableModel`.
    """
    found = known_models(graph)
    if previous:
        if not any(m.active for m in found):
            raise UnusableModel("no model is active, so there is none before it")
        before = [m for m in found if not m.active and m.activated_at]
        return before[0].version if before else None
    if version in [m.version for m in found]:
        return version
    known = ", ".join(m.version for m in found) or "none; train one with `identity-graph match train --from-graph`"
    raise UnusableModel(f"the graph knows no model {version}; there is {known}")
