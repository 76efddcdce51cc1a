"""A settings file in Splink's own terms: what it overrides in a trained model, and whether it can."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import duckdb

from matching.batch import LIST_COLUMNS, RECORDS, quote
from matching.configure import KEY_RULE
from matching.errors import InputError
from matching.scorer import Scorer

PRIOR = "probability_two_random_records_match"
COMPARISONS = "comparisons"
RULES = "blocking_rules_to_generate_predictions"
_OVERRIDING = (PRIOR, COMPARISONS, RULES)
#: Keys of a whole settings file; what they say is decided by the records and the mapping.
_IGNORED = {
    "link_type", "em_convergence", "max_iterations", "retain_matching_columns",
    "retain_intermediate_calculation_columns", "additional_columns_to_retain", "unique_id_column_name",
    "source_dataset_column_name", "match_weight_column_prefix", "term_frequency_adjustment_column_prefix",
    "comparison_vector_value_column_prefix", "bayes_factor_column_prefix", "linker_uid", "sql_dialect",
}  # fmt: skip
_LEVEL_KEYS = {
    "sql_condition", "label_for_charts", "is_null_level", "m_probability", "u_probability", "fix_m_probability",
    "fix_u_probability", "tf_adjustment_column", "tf_adjustment_weight", "tf_minimum_u_value",
    "disable_tf_exact_match_detection",
}  # fmt: skip


@dataclass(frozen=True)
class Overrides:
    """What a settings file asks for. `comparisons` replace those of the same output column name; `rules` are added."""

    prior: float | None = None
    comparisons: tuple[dict[str, Any], ...] = ()
    rules: tuple[str, ...] = ()

    def apply(self, settings: dict[str, Any]) -> None:
        """Put the prior and the comparisons into settings of a trained model."""
        given = {c["output_column_name"]: c for c in self.comparisons}
        settings[COMPARISONS] = list(({c["output_column_name"]: c for c in settings[COMPARISONS]} | given).values())
        settings[PRIOR] = settings[PRIOR] if self.prior is None else self.prior

    @property
    def term_frequencies(self) -> dict[str, float]:
        """The columns that the comparisons adjust for term frequencies, each with u of the level that does."""
        levels = (level for comparison in self.comparisons for level in comparison["comparison_levels"])
        return {
            lv["tf_adjustment_column"]: lv.get("u_probability", 1.0) for lv in levels if lv.get("tf_adjustment_column")
        }

    @property
    def notes(self) -> list[str]:
        """For the report: a sentence, or nothing."""
        parts = [f"the chance that two random records match, {self.prior:g}"] if self.prior is not None else []
        if self.comparisons:
            parts.append(f"the comparisons {', '.join(c['output_column_name'] for c in self.comparisons)}")
        if self.rules:
            parts.append(f"{len(self.rules)} more blocking rules, for runs on files only")
        return [f"the settings file overrides what was trained: {'; '.join(parts)}"] if parts else []


def tf_columns(settings: Mapping[str, Any]) -> list[str]:
    """The columns that the comparisons adjust for term frequencies."""
    levels = (level for comparison in settings["comparisons"] for level in comparison["comparison_levels"])
    return sorted({level["tf_adjustment_column"] for level in levels if level.get("tf_adjustment_column")})


def load_settings(path: Path) -> dict[str, Any]:
    """A settings file in Splink's own terms (JSON). Raises InputError."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} is not a readable JSON settings file") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{path.name} must hold a JSON object with Splink settings")
    return cast("dict[str, Any]", loaded)


def overrides(con: duckdb.DuckDBPyConnection, columns: Sequence[str], given: Mapping[str, Any]) -> Overrides:
    """What `given` overrides, tried on table `records` with these normalised columns.

    Raises InputError naming the key that cannot be used and what was expected, ModelError for SQL that DuckDB knows
    and the compiled scorer does not.
    """
    if unknown := set(given) - {*_OVERRIDING, *_IGNORED}:
        raise InputError(f"{sorted(unknown)[0]!r} cannot be overridden; expected one of {', '.join(_OVERRIDING)}")
    comparisons = checked_comparisons(given.get(COMPARISONS, []))
    sides = ", ".join(f"{s}.{quote(c)} AS {quote(f'{c}_{s}')}" for c in columns for s in "lr")
    pairs = f"SELECT {sides} FROM {RECORDS} l, {RECORDS} r"
    for comparison in comparisons:
        for level in comparison["comparison_levels"]:
            where = f"{COMPARISONS}: {comparison['output_column_name']}"
            if level["sql_condition"].strip().upper() != "ELSE":
                _try(con, f"SELECT 1 FROM ({pairs}) WHERE ({level['sql_condition']})", f"{where}: sql_condition")
            tf = level.get("tf_adjustment_column")
            if tf is not None and (tf not in columns or tf in LIST_COLUMNS):
                raise InputError(
                    f"{where}: tf_adjustment_column is {tf!r}; expected one of "
                    f"{', '.join(c for c in columns if c not in LIST_COLUMNS)}"
                )
    Scorer({PRIOR: 0.5, COMPARISONS: comparisons}, {})  # refuses what DuckDB alone would know
    rules: list[str] = []
    for rule in _list(given.get(RULES, []), RULES):
        sql = cast("dict[str, Any]", rule).get("blocking_rule") if isinstance(rule, dict) else rule
        if not isinstance(sql, str):
            raise InputError(f"{RULES}: {rule!r:.80} is no rule; expected SQL, or an object with blocking_rule")
        if not KEY_RULE.fullmatch(sql):  # that is of another training's keys; this one has its own
            _try(con, f"SELECT 1 FROM {RECORDS} l JOIN {RECORDS} r ON ({sql})", RULES)
            rules.append(f"({sql})")
    return Overrides(checked_prior(given[PRIOR]) if PRIOR in given else None, tuple(comparisons), tuple(rules))


def _try(con: duckdb.DuckDBPyConnection, sql: str, key: str) -> None:
    try:
        con.execute(f"EXPLAIN {sql}")
    except duckdb.Error as error:
        raise InputError(f"{key}: this SQL cannot be used: {str(error).splitlines()[0][:300]}") from error


def _list(value: object, key: str) -> list[object]:
    if not isinstance(value, list):
        raise InputError(f"{key} is {value!r}; expected a list")
    return cast("list[object]", value)


def _number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def checked_prior(value: object) -> float:
    """The prior as a number. Raises InputError unless it is above 0 and below 1."""
    if not _number(value, 0, 1) or value in (0, 1):
        raise InputError(f"{PRIOR} is {value!r}; expected a number above 0 and below 1")
    return float(cast("float", value))


def checked_comparisons(value: object) -> list[dict[str, Any]]:
    """Trained comparisons, each level labelled. Raises InputError naming the key that is wrong."""
    return [_comparison(comparison) for comparison in _list(value, COMPARISONS)]


def _comparison(value: object) -> dict[str, Any]:
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name = given.get("output_column_name")
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise InputError(f"{COMPARISONS}: expected objects, each with a word as output_column_name; got {value!r:.80}")
    where = f"{COMPARISONS}: {name}"
    if unknown := set(given) - {"output_column_name", "comparison_description", "comparison_levels"}:
        raise InputError(f"{where}: {sorted(unknown)[0]!r} is unknown; expected comparison_levels")
    levels = [_level(level, where) for level in _list(given.get("comparison_levels"), f"{where}: comparison_levels")]
    if [lv["sql_condition"].strip().upper() == "ELSE" for lv in levels] != [False] * (len(levels) - 1) + [True]:
        raise InputError(f"{where}: the last of the comparison_levels, and no other, must have sql_condition ELSE")
    return {**given, "comparison_levels": levels}


def _level(value: object, where: str) -> dict[str, Any]:
    level = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if not isinstance(level.get("sql_condition"), str):
        raise InputError(f"{where}: expected levels that are objects with a text sql_condition; got {value!r:.80}")
    if unknown := set(level) - _LEVEL_KEYS:
        raise InputError(f"{where}: level key {sorted(unknown)[0]!r} is unknown; expected {', '.join(_LEVEL_KEYS)}")
    if not level.get("is_null_level"):
        for key in ("m_probability", "u_probability"):
            if not _number(level.get(key), 0, 1) or level[key] == 0:
                raise InputError(f"{where}: {key} is {level.get(key)!r}; expected a number above 0 and at most 1")
    for key in ("tf_adjustment_weight", "tf_minimum_u_value"):
        if not _number(level.get(key, 0), 0, 1):
            raise InputError(f"{where}: {key} is {level[key]!r}; expected a number from 0 to 1")
    return {"label_for_charts": level["sql_condition"], **level}
