"""What the bound leaves out Splink would have left out, and the candidates are those of the rules' SQL."""

import csv
import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import people
from matching import pipeline, predict
from matching.bound import Bound

TEXT = st.one_of(st.none(), st.text("ab1é ", max_size=12), st.sampled_from(["martha", "marhta", "1970-01-02"]))
#: To open a database takes longer than to try an example.
SHARED = duckdb.connect()
CONDITIONS = [
    "jaro_winkler_similarity(a_l, a_r) >= 0.8",
    "jaro_winkler_similarity(a_l, a_r) > 0.95 OR a_l = b_r",
    "levenshtein(a_l, a_r) <= 2",
    "levenshtein(a_l, a_r) <= 2 AND damerau_levenshtein(a_l, a_r) <= 1",
    "damerau_levenshtein(a_l, b_r) < 2",
    "NOT (levenshtein(a_l, a_r) <= 1) AND NOT (a_l = a_r)",
    "NOT coalesce(a_l = a_r OR jaro_winkler_similarity(b_l, b_r) >= 0.9, false)",
    "coalesce(NOT (a_l = b_r AND b_l = a_r), true)",
    "list_has_any(string_split(a_l, ' '), string_split(a_r, ' '))",
    "abs(length(a_l) - length(a_r)) <= 1 AND length(b_l) > 1",
    "a_l IS NOT NULL AND substr(a_l, 1, 2) <> substr(a_r, 1, 2)",
    "right(a_l, 3) = right(a_r, 3)",
    "try_cast(a_l AS INTEGER) - try_cast(a_r AS INTEGER) > 0",
    "contains(a_l, a_r)",
]


def _levels(condition: str, tf: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"sql_condition": "b_l IS NULL OR b_r IS NULL", "is_null_level": True},
        {"sql_condition": condition, "m_probability": 0.1, "u_probability": 0.9},
        {"sql_condition": "a_l = a_r", "m_probability": 0.5, "u_probability": 0.1, **tf},
        {"sql_condition": f"NOT ({condition})", "m_probability": 0.9, "u_probability": 0.2},
        {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.7},
    ]


@given(
    st.sampled_from(CONDITIONS), st.lists(st.tuples(TEXT, TEXT), min_size=2, max_size=6),
    st.sampled_from([{}, {"tf_adjustment_column": "a"}, {"tf_adjustment_column": "a", "tf_minimum_u_value": 0.2}]),
)  # fmt: skip
def test_no_weight_exceeds_its_bound(condition: str, records: list[tuple[str | None, str | None]], tf: dict[str, Any]):
    con = SHARED
    con.execute("CREATE OR REPLACE TABLE records (rid BIGINT, a VARCHAR, b VARCHAR)")
    con.executemany("INSERT INTO records VALUES (?, ?, ?)", [(i, *record) for i, record in enumerate(records)])
    con.execute(
        "CREATE OR REPLACE TABLE tf_a AS SELECT a AS value, count(*) / 10 AS tf FROM records WHERE a > '' GROUP BY 1"
    )
    levels = _levels(condition, tf)
    cases = " ".join(
        f"ELSE {i}" if level["sql_condition"] == "ELSE" else f"WHEN {level['sql_condition']} THEN {i}"
        for i, level in enumerate(levels)
    )
    pairs = con.sql(
        f"SELECT l.rid, r.rid, CASE {cases} END, f.tf FROM "
        "(SELECT rid, a AS a_l, b AS b_l FROM records) l JOIN (SELECT rid, a AS a_r, b AS b_r FROM records) r "
        "ON l.rid < r.rid LEFT JOIN tf_a f ON f.value = a_l"
    ).fetchall()
    comparison = {"output_column_name": "x", "comparison_levels": levels}
    settings = {"probability_two_random_records_match": 0.5, "comparisons": [comparison]}
    left, right = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    bounds = Bound(con, settings).bounds(left, right, -math.inf)
    for (_, _, at, share), bound in zip(pairs, bounds, strict=True):
        level = levels[at]
        weight = 0.0 if at == 0 else math.log2(level["m_probability"] / level["u_probability"])
        if tf and at == 2 and share:
            weight += math.log2(0.1 / max(share, tf.get("tf_minimum_u_value", 0)))
        assert bound >= weight


def _two_sources(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", "source", *people.FIELDS])
        for i, person in enumerate(people.people(3_000, seed=6)):
            writer.writerow([person.record_id, "ab"[i % 3 > 0], *(person.values[name] for name in people.FIELDS)])


@pytest.mark.parametrize("link_type", ["dedupe", "link"])
def test_what_is_left_out_splink_would_have_left_out(link_type: str, tmp_path: Path):
    _two_sources(tmp_path / "made.csv")
    con = pipeline.connect()
    prepared = pipeline.prepare(con, [tmp_path / "made.csv"], {"link_type": link_type})
    model = pipeline.fit(
        prepared, {"blocking_rules_to_generate_predictions": ["substr(l.city, 1, 4) = substr(r.city, 1, 4)"]}
    )
    found = predict.predict(con, model.settings, pipeline.FLOOR)
    edges = {(a, b): weight for a, b, weight in con.execute("FROM edges").fetchall()}
    assert found == len(edges)
    _, splink = predict.linker(con, model.settings)
    theirs = splink.inference.predict(threshold_match_weight=pipeline.FLOOR).physical_name
    expected = {(a, b): w for a, b, w in con.execute(f"SELECT rid_l, rid_r, match_weight FROM {theirs}").fetchall()}
    assert len(expected) > 500
    assert edges.keys() == expected.keys()
    assert max(abs(edges[pair] - weight) for pair, weight in expected.items()) < 1e-9
    rules = [rule["blocking_rule"] for rule in model.settings["blocking_rules_to_generate_predictions"]]
    left, right = predict.candidate_pairs(con, rules)
    reaching = Bound(con, model.settings).reaching(left, right, pipeline.FLOOR)
    assert reaching.sum() < 0.3 * len(left)


@pytest.mark.parametrize("at_once", [1, 50, 10_000])
def test_candidates_are_those_of_the_rules_own_sql(at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predict, "AT_ONCE", at_once)
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE records AS SELECT rid, chr((65 + rid % 2)::INTEGER) AS source, hash(rid * rid % 40) AS bk_0, "
        "CASE WHEN rid % 3 > 0 THEN hash(rid % 25) END AS bk_1, NULL::UBIGINT AS bk_2 FROM range(120) t(rid)"
    )
    keys = [f"l.bk_{i} = r.bk_{i}" for i in range(3)]
    for rules in (
        keys,
        [f"{rule} AND l.source <> r.source" for rule in keys],
        ["abs(l.rid - r.rid) = 2"],
        [],
        keys[2:],
    ):
        left, right = predict.candidate_pairs(con, rules)
        any_of = " OR ".join(f"coalesce({rule}, false)" for rule in rules) or "false"
        wanted = con.sql(
            f"SELECT l.rid, r.rid FROM records l JOIN records r ON l.rid < r.rid WHERE {any_of}"
        ).fetchall()
        assert list(zip(left.tolist(), right.tolist(), strict=True)) == sorted(wanted)
