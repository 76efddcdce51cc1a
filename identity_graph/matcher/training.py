"""Training on the graph's own records, and what a model says of all of them at once: Splink on DuckDB."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from identity_graph.domain.matches import UnusableModel
from identity_graph.matcher.compiled import BLOCKS, KNOWN, RECORD, SOURCE, Compiled, texts
from matching import configure, pipeline, predict, train
from matching.batch import across
from matching.errors import MatchingError
from matching.model import Model
from matching.pipeline import Progress

#: A record's key, its source, its traits, and whose it is where that is known.
Row = tuple[str, str, Mapping[str, Any], str | None]
#: Records of one file, and the most columns that are looked at.
CHUNK, COLUMNS = 50_000, 200
#: Of the matches that all rules find together, the chosen ones may miss so many.
LEFT_OUT = 0.005
#: Pairs of a record that are compared though the other rules seem to do.
PAIRS_EACH = 8


def write_records(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Write records as Parquet files that training and prediction read, every value as text."""
    rows = iter(rows)
    files: list[Path] = []
    while chunk := list(islice(rows, CHUNK)):
        cells = [texts(traits) for _, _, traits, _ in chunk]
        often = Counter(name for row in cells for name in row)
        table: dict[str, list[str | None]] = {RECORD: [key for key, *_ in chunk], SOURCE: [row[1] for row in chunk]}
        table[KNOWN] = [person for *_, person in chunk]
        table |= {name: [row.get(name) for row in cells] for name, _ in often.most_common(COLUMNS)}
        files.append(folder / f"records-{len(files)}.parquet")
        pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in table.items()}), files[-1])
    return files


def train_model(files: Sequence[Path], models: Path, progress: Progress) -> Compiled:
    """Train a model and keep it in a folder of ``models`` that its version names.

    Raises :class:`UnusableModel` where the records cannot carry one.
    """
    logging.getLogger("splink").setLevel(logging.WARNING)
    if not files:
        raise UnusableModel("the graph holds no records to learn from; ingest some with names, dates or addresses")
    try:
        prepared = pipeline.prepare(
            pipeline.connect(), files, {"id": RECORD, "source": SOURCE, "person": KNOWN}, progress=progress
        )
        model = pipeline.fit(prepared, None, progress)
        progress("choosing what to keep of each record")
        model = _with_fewer_rules(prepared.con, model)
    except MatchingError as e:
        raise UnusableModel(f"no model can be trained on these records: {e}") from e
    model.save(models / model.version)
    return Compiled(model)


def all_pairs(files: Sequence[Path], models: Path, version: str, progress: Progress) -> list[tuple[str, str, float]]:
    """All pairs of records, by their keys, from the model's threshold of proposals on, with their weights in bits."""
    logging.getLogger("splink").setLevel(logging.WARNING)
    try:
        model = Model.load(models / version)
        if not files:
            return []
        prepared = pipeline.prepare(pipeline.connect(), files, model=model, progress=progress, equal=True)
        # The graph looks at each value's number of records now, whatever it was in training.
        configure.write_keys(prepared.con, [replace(rule, dropped=1) for rule in model.rules], model.block_cap)
        train.restore_term_frequencies(prepared.con, model.term_frequencies)
        progress("comparing")
        predict.predict(prepared.con, model.settings, model.unguarded.review)
    except MatchingError as e:
        raise UnusableModel(f"the model {version} cannot read these records: {e}") from e
    return prepared.con.execute(
        "SELECT l.record_id, r.record_id, match_weight FROM edges "
        "JOIN records l ON l.rid = rid_l JOIN records r ON r.rid = rid_r"
    ).fetchall()


def _with_fewer_rules(con: duckdb.DuckDBPyConnection, model: Model) -> Model:
    """With the blocking rules that find nearly all matches at the least cost, no more than a record keeps values of.

    One by one the rule that finds the most expected matches for each pair that it makes. When hardly any is left, cheap
    ones follow, for records that lack what those of the training had.
    """
    predict.predict(con, model.settings, model.unguarded.review)
    found = " + ".join(f"CASE WHEN l.bk_{n} = r.bk_{n} THEN {1 << n} ELSE 0 END" for n in range(len(model.rules)))
    expected: dict[int, float] = dict(
        con.execute(
            f"SELECT {found}, sum(1 / (1 + pow(2, -match_weight))) FROM edges "  # noqa: S608 - numbers only
            "JOIN records l ON l.rid = rid_l JOIN records r ON r.rid = rid_r GROUP BY 1"
        ).fetchall()
    )
    least = LEFT_OUT * sum(expected.values())
    budget = PAIRS_EACH * float(model.report["records"])
    chosen: list[int] = []
    while len(chosen) < min(BLOCKS, len(model.rules)):
        worth = {
            n: (sum(many for rules, many in expected.items() if rules >> n & 1) / (rule.pairs + 1), -rule.pairs)
            for n, rule in enumerate(model.rules)
            if n not in chosen
        }
        best = max(worth, key=worth.__getitem__)
        budget -= model.rules[best].pairs
        if budget < 0 and sum(expected.values()) <= least:
            break
        chosen.append(best)
        expected = {rules: many for rules, many in expected.items() if not rules >> best & 1}
    settings = dict(model.settings)
    settings["blocking_rules_to_generate_predictions"] = [
        {"blocking_rule": f"l.bk_{n} = r.bk_{n}{across(model.fields.link_type)}"} for n in range(len(chosen))
    ]
    return replace(model, rules=tuple(model.rules[n] for n in chosen), settings=settings)
