"""Batch prediction by Splink."""

from collections.abc import Mapping
from typing import Any

import duckdb
from splink import DuckDBAPI, Linker, SettingsCreator

from matching.batch import RECORDS, quote


def linker(con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]) -> Linker:
    """A Splink linker on table `records` with the term frequencies of tables `tf_<column>`."""
    db = DuckDBAPI(con)
    made = Linker(
        db.register(RECORDS, dataset_display_name="records"),
        SettingsCreator.from_path_or_dict(dict(settings)),
        log_level=None,  # Splink would turn its own logging on, and print into a caller's JSON
    )
    for column in sorted({
        level["tf_adjustment_column"]
        for comparison in settings["comparisons"]
        for level in comparison["comparison_levels"]
        if "tf_adjustment_column" in level
    }):  # fmt: skip
        name = f"splink_tf_{column}"
        con.execute(
            f"CREATE OR REPLACE TABLE {quote(name)} AS SELECT value AS {quote(column)}, tf AS {quote('tf_' + column)} "
            f"FROM {quote('tf_' + column)}"
        )
        made.table_management.register_term_frequency_lookup(db.register(name), column)
    return made


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


def predict(con: duckdb.DuckDBPyConnection, made: Linker, least_weight: float) -> int:
    """Table `edges` (rid_l, rid_r, match_weight) of the candidate pairs at or above a weight; gives their number."""
    found = made.inference.predict(threshold_match_weight=least_weight)
    con.execute(f"CREATE OR REPLACE TABLE edges AS SELECT rid_l, rid_r, match_weight FROM {found.physical_name}")
    found.drop_table_from_database_and_remove_from_cache()
    return con.sql("SELECT count(*) FROM edges").fetchall()[0][0]
