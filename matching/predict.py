"""Batch prediction: candidate pairs by the blocking rules, and by Splink the weights of those that can matter."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from splink import DuckDBAPI, Linker, SettingsCreator

from matching.batch import RECORDS, quote
from matching.bound import Bound
from matching.configure import KEY_RULE
from matching.settings import tf_columns

Ints = npt.NDArray[np.int64]
AT_ONCE = 4_000_000  # pairs of blocks that are made before those within one source are left out


def candidate_pairs(con: duckdb.DuckDBPyConnection, rules: Sequence[str]) -> tuple[Ints, Ints]:
    """The pairs (`rid` of both, the lesser first, in their order) of table `records` that any blocking rule gives.

    What `configure.write_keys` gives is joined here, one sort a rule: DuckDB takes ten times as long. Other rules are
    Splink's SQL over `l` and `r`.
    """
    rows = con.sql(f"SELECT coalesce(max(rid), 0) + 1 FROM {RECORDS}").fetchall()[0][0]
    found: list[Ints] = [np.empty(0, dtype=np.int64)]
    for rule in rules:
        if key := KEY_RULE.fullmatch(rule):
            found += _in_blocks(con, key[1], bool(key[2]), rows)
        else:
            pairs = f"{RECORDS} l JOIN {RECORDS} r ON ({rule}) WHERE l.rid < r.rid"
            found.append(con.sql(f"SELECT l.rid * {rows} + r.rid AS pair FROM {pairs}").fetchnumpy()["pair"])
    pairs = np.sort(np.concatenate(found))  # np.unique goes by hashes, and takes ten times as long
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    return pairs // rows, pairs % rows


def _in_blocks(con: duckdb.DuckDBPyConnection, key: str, across: bool, rows: int) -> Iterator[Ints]:
    """Pairs left · rows + right of records with the same key, once each; `across`: of different sources."""
    columns = con.sql(f"SELECT rid, {key} AS key, hash(source) AS source FROM {RECORDS} WHERE {key} IS NOT NULL")
    table = columns.fetchnumpy()
    if not len(table["key"]):
        return
    order = np.lexsort((table["rid"], table["key"]))
    rid, source, keys = (np.asarray(table[name])[order] for name in ("rid", "source", "key"))
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]]))
    # Each record is paired with those that follow it in its block.
    follow = np.repeat(begins[1:], np.diff(begins)) - np.arange(len(keys)) - 1
    made = np.concatenate([[0], np.cumsum(follow)])
    cuts = np.minimum(np.searchsorted(made, np.arange(0, made[-1] + AT_ONCE, AT_ONCE)), len(keys))
    for start, stop in pairwise(cuts):
        counts = follow[start:stop]
        first = np.repeat(np.arange(start, stop), counts)
        second = first + 1 + np.arange(len(first)) - np.repeat(made[start:stop] - made[start], counts)
        if across:
            apart = source[first] != source[second]
            first, second = first[apart], second[apart]
        yield rid[first] * rows + rid[second]


def linker(con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]) -> tuple[DuckDBAPI, Linker]:
    """Splink on table `records` with the term frequencies of tables `tf_<column>`."""
    db = DuckDBAPI(con)
    made = Linker(
        db.register(RECORDS, dataset_display_name="records"),
        SettingsCreator.from_path_or_dict(dict(settings)),
        validate_settings=False,  # it takes a second, and only writes to the log
        log_level=None,  # Splink would turn its own logging on, and print into a caller's JSON
    )
    for column in tf_columns(settings):
        name = f"splink_tf_{column}"
        con.execute(
            f"CREATE OR REPLACE TABLE {quote(name)} AS SELECT value AS {quote(column)}, tf AS {quote('tf_' + column)} "
            f"FROM {quote('tf_' + column)}"
        )
        made.table_management.register_term_frequency_lookup(db.register(name), column)
    return db, made


def settings_dict(
    comparisons: list[dict[str, Any]], rules: list[str], prior: float, columns: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Splink settings of a trained model."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "rid",
        "comparisons": comparisons,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": rule} for rule in rules],
        "probability_two_random_records_match": prior,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "additional_columns_to_retain": list(columns),
    }


def predict(con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any], least_weight: float) -> int:
    """Table `edges` (rid_l, rid_r, match_weight) of the candidate pairs at or above a weight; gives their number."""
    rules = cast("list[dict[str, str]]", settings["blocking_rules_to_generate_predictions"])
    with ThreadPoolExecutor(1) as pool:  # each of the two keeps one processor busy
        bound = pool.submit(Bound, con.cursor(), settings)
        left, right = candidate_pairs(con, [rule["blocking_rule"] for rule in rules])
        can = bound.result().reaching(left, right, least_weight)
    con.register("reaching", pa.table({"join_key_l": left[can], "join_key_r": right[can]}))
    con.execute("CREATE OR REPLACE TABLE candidates AS SELECT '0' AS match_key, * FROM reaching")
    con.unregister("reaching")
    db, made = linker(con, {**settings, "blocking_rules_to_generate_predictions": []})
    made.table_management.register_blocked_pairs_for_predict(db.register("candidates"))
    found = made.inference.predict(threshold_match_weight=least_weight)
    con.execute(f"CREATE OR REPLACE TABLE edges AS SELECT rid_l, rid_r, match_weight FROM {found.physical_name}")
    found.drop_table_from_database_and_remove_from_cache()
    con.execute("DROP TABLE candidates")
    return con.sql("SELECT count(*) FROM edges").fetchall()[0][0]
