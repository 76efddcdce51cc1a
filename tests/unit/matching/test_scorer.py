"""The compiled scorer is Splink, to the last rounding."""

import csv
import random
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import people
from matching import pipeline, predict
from matching.errors import ModelError
from matching.model import Model
from matching.scorer import Scorer

PAIRS = 200_000
SHARED = Path(__file__).parents[4] / "shared" / "data"


def _labelled() -> dict[str, list[Path]]:
    """Labelled data beside the checkout, where there is some."""
    found = {
        "febrl, one file": [SHARED / "febrl" / "dataset3.csv"],
        "febrl, two files": [SHARED / "febrl" / "dataset4a.csv", SHARED / "febrl" / "dataset4b.csv"],
        "persons with errors": [SHARED / "splink_fake_1000" / "fake_1000.csv"],
        "historical figures": [
            SHARED / "splink_historical_50k" / "historical_figures_with_errors_50k.parquet",
        ],
        "born and named": [SHARED / "rldata" / "RLdata10000.csv"],
        "three lists": [
            SHARED / "senzing_truthset" / f"{name}.csv" for name in ("customers", "reference", "watchlist")
        ],
    }
    return {name: files for name, files in found.items() if all(f.exists() for f in files)}


def _customers(path: Path) -> None:
    people.write(path, 6_000)


def _register(path: Path) -> None:
    """The same people as a register has them: whole names, dates in three columns, a number, what they do."""
    rng = random.Random(4)
    kept: dict[int, list[str]] = {}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["name", "birth_year", "birth_month", "birth_day", "sex", "zip", "ssn", "occupation", "birth_place"]
        writer.writerow(["id", "source", *header])
        for person in people.people(4_000, seed=2):
            values = person.values
            if person.entity not in kept:
                kept[person.entity] = [
                    rng.choice("MF"), values["postcode"], f"{rng.randrange(10**8, 10**9)}",
                    rng.choice(("baker", "clerk", "farmer", "teacher")), rng.choice(("Aston", "Bilton", "Corby")),
                ]  # fmt: skip
            own = [people.typo(rng, v) if rng.random() < 0.05 else v for v in kept[person.entity]]
            middle = rng.choice(("", " M.", " Maria", " Jr"))
            name = f"{values['last_name'].title()}, {values['first_name'].title()}{middle}"
            date = values["dob"].split("-") if values["dob"].count("-") == 2 else ["", "", ""]
            writer.writerow([person.record_id, rng.choice("ab"), name, *date, *own])


MADE = {"customers": _customers, "a register": _register}


@pytest.mark.parametrize("name", [*MADE, *_labelled()])
def test_equals_splink(name: str, tmp_path: Path):
    files = _labelled().get(name) or [tmp_path / "made.csv"]
    if name in MADE:
        MADE[name](files[0])
    con = pipeline.connect()
    model = pipeline.fit(pipeline.prepare(con, files))
    share = PAIRS / max(model.report["pairs_compared"], 1)
    sampled = {
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": f"{rule['blocking_rule']} AND hash(l.rid, r.rid) % 1000 < {1000 * min(1.1 * share, 1)}"}
            for rule in model.settings["blocking_rules_to_generate_predictions"]
        ]
    }
    predict.predict(con, {**model.settings, **sampled}, -1_000.0)
    edges = con.execute("SELECT rid_l, rid_r, match_weight FROM edges").fetchall()
    assert len(edges) >= min(PAIRS, model.report["pairs_compared"])
    weigher = pipeline.Weigher(con, model)
    weigher.load_pairs((left, right) for left, right, _ in edges)
    ours = np.array([weigher(left, right) for left, right, _ in edges])
    assert np.abs(ours - np.array([weight for _, _, weight in edges])).max() < 1e-9
    least = float(np.median(ours))
    for left, right, _ in edges[:20_000]:
        score = weigher.explain(left, right)
        found = weigher.scorer.score_from(least, weigher.records[left], weigher.records[right])
        assert found == (score if score.weight >= least else None)


def test_a_saved_model_scores_as_before_and_explains(tmp_path: Path):
    people.write(tmp_path / "people.csv", 3_000)
    con = pipeline.connect()
    model = pipeline.fit(pipeline.prepare(con, [tmp_path / "people.csv"]))
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    raw = {"first_name": "Bob", "last_name": "Smith", "dob": "1970-01-02", "street": "12 Main Street"}
    a, b = loaded.normalise(raw), loaded.normalise(raw | {"first_name": "Robert", "street": "12 Main St"})
    score = Scorer.load(tmp_path / "model").score(a, b)
    assert score.weight == Scorer(model.settings, model.term_frequencies).score(a, b).weight
    assert {level.comparison for level in score.levels} == {
        c["output_column_name"] for c in model.settings["comparisons"]
    }
    prior = Scorer.load(tmp_path / "model").prior_weight
    assert score.weight == pytest.approx(prior + sum(level.weight for level in score.levels))
    assert 0 < score.probability < 1
    assert set(loaded.blocking_keys(a)) & set(loaded.blocking_keys(b))


COLUMN = st.one_of(st.none(), st.sampled_from(["ada", "adam", "", "b", "1970-01-02", "1970-02-01"]))
CONDITIONS = [
    "a_l = a_r",
    "NOT (a_l = a_r)",
    "NOT (a_l = a_r AND b_l = b_r)",
    "a_l IS NULL OR a_r IS NULL",
    "a_l IS NOT NULL AND NOT (b_l = b_r OR a_l <> a_r)",
    "jaro_winkler_similarity(a_l, a_r) >= 0.8 OR levenshtein(b_l, b_r) <= 1",
    "NOT (damerau_levenshtein(a_l, b_r) <= 1) AND length(a_l) > 2",
    "substr(a_l, 1, 2) = substr(a_r, 1, 2) AND right(b_l, 2) = right(b_r, 2)",
    "abs(try_cast(substr(a_l, 1, 4) AS INTEGER) - try_cast(substr(b_r, 1, 4) AS INTEGER)) <= 2",
    "coalesce(NOT (a_l = b_l), true)",
    "NOT coalesce(a_l = a_r, false)",
]


CONDITION = st.recursive(
    st.sampled_from(CONDITIONS),
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR", "AND NOT"]), inner).map(
        lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
    ),
    max_leaves=3,
)


@given(
    st.lists(st.lists(CONDITION, min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.tuples(COLUMN, COLUMN, COLUMN, COLUMN), min_size=1, max_size=4),
    st.lists(st.floats(-10, 10), min_size=3, max_size=3),
)
def test_conditions_mean_what_they_mean_in_sql_one_after_the_other(
    comparisons: list[list[str]], pairs: list[tuple[str | None, ...]], average: list[float]
):
    def level(name: int, sql: str) -> dict[str, object]:
        return {"sql_condition": sql, "label_for_charts": str(name), "m_probability": 0.5, "u_probability": 0.5}

    settings = {
        "probability_two_random_records_match": 0.5,
        "comparisons": [
            {"output_column_name": f"c{k}", "comparison_levels": [level(i, c) for i, c in enumerate([*found, "ELSE"])]}
            for k, found in enumerate(comparisons)
        ],
    }
    # What is looked at first decides what is known by then.
    scorer = Scorer(settings, {}, {f"c{k}": bits for k, bits in enumerate(average)})
    cases = ", ".join(
        f"CASE {' '.join(f'WHEN {c} THEN {i}' for i, c in enumerate(found))} ELSE {len(found)} END"
        for found in comparisons
    )
    for a_l, a_r, b_l, b_r in pairs:
        row = duckdb.execute(
            f"SELECT {cases} FROM (SELECT ?::VARCHAR a_l, ?::VARCHAR a_r, ?::VARCHAR b_l, ?::VARCHAR b_r)",
            [a_l, a_r, b_l, b_r],
        ).fetchone()
        score = scorer.score({"a": a_l, "b": b_l}, {"a": a_r, "b": b_r})
        assert [int(found.level) for found in score.levels] == list(row or ())


def test_unknown_sql_is_refused_by_name():
    levels = [
        {"sql_condition": "soundex(a_l) = soundex(a_r)", "m_probability": 0.8, "u_probability": 0.1},
        {"sql_condition": "ELSE", "m_probability": 0.2, "u_probability": 0.9},
    ]
    settings = {
        "probability_two_random_records_match": 0.5,
        "comparisons": [{"output_column_name": "sound", "comparison_levels": levels}],
    }
    with pytest.raises(ModelError, match="sound"):
        Scorer(settings, {})
