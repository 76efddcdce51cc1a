"""What a settings file overrides is in force everywhere, thresholds too; what it cannot override is named."""

import copy
from pathlib import Path
from typing import Any

import duckdb
import pytest

from bench import people
from matching import pipeline
from matching.errors import InputError, MatchingError
from matching.model import Model
from matching.settings import load_settings, overrides

PRIOR, RULES = "probability_two_random_records_match", "blocking_rules_to_generate_predictions"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("people") / "people.csv"
    people.write(path, 1_000)
    return path


def fit(file: Path, given: dict[str, Any]) -> Model:
    return pipeline.fit(pipeline.prepare(pipeline.connect(), [file]), given)


@pytest.fixture(scope="module")
def model(file: Path) -> Model:
    return fit(file, {})


def test_a_saved_model_as_its_own_settings_changes_nothing(file: Path, model: Model, tmp_path: Path):
    model.save(tmp_path)
    again = fit(file, load_settings(tmp_path / "model.json"))
    assert again.settings == model.settings
    assert again.term_frequencies == model.term_frequencies
    assert abs(again.thresholds.auto - model.thresholds.auto) <= 0.5
    assert again.thresholds.expected.recall == pytest.approx(model.thresholds.expected.recall, abs=0.01)


def test_another_prior_moves_the_weights_and_what_is_expected_of_them(file: Path, model: Model):
    prior = model.settings[PRIOR] * 100
    other = fit(file, {PRIOR: prior})
    assert other.settings == {**model.settings, PRIOR: prior}
    assert other.report["matches_expected"] == pytest.approx(100 * model.report["matches_expected"])
    assert other.thresholds.expected.recall < 0.1
    assert any(f"{prior:g}" in note for note in other.report["notes"])


def test_thresholds_are_those_of_the_comparisons_in_force(file: Path, model: Model):
    given = copy.deepcopy([c for c in model.settings["comparisons"] if c["output_column_name"] == "date_of_birth"])
    for level in given[0]["comparison_levels"]:
        level |= {} if level.get("is_null_level") else {"m_probability": 0.5, "u_probability": 0.5}
        level.pop("tf_adjustment_column", None)
    other = fit(file, {"comparisons": given})
    assert other.thresholds.expected.precision < model.thresholds.expected.precision
    assert other.thresholds.spread > model.thresholds.spread
    assert "dob" not in other.term_frequencies
    assert any("date_of_birth" in note for note in other.report["notes"])


def test_a_comparison_and_a_rule_of_ones_own(file: Path, model: Model):
    town = {
        "output_column_name": "town",
        "comparison_levels": [
            {"sql_condition": "city_l = city_r", "m_probability": 0.9, "u_probability": 0.1,
             "tf_adjustment_column": "city"},
            {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.9},
        ],
    }  # fmt: skip
    rule = "l.email = r.email OR l.city = r.city AND l.dob = r.dob"
    con = pipeline.connect()
    prepared = pipeline.prepare(con, [file])
    other = pipeline.fit(prepared, {"comparisons": [town], RULES: [rule, {"blocking_rule": "l.bk_99 = r.bk_99"}]})
    assert other.settings["comparisons"][:-1] == model.settings["comparisons"]
    assert [c["name"] for c in other.report["comparisons"]][-1] == "town"
    assert set(other.term_frequencies) == {*model.term_frequencies, "city"}
    assert other.settings[RULES][-1] == {"blocking_rule": f"({rule})"}
    assert len(other.settings[RULES]) == len(model.settings[RULES]) + 1
    assert len(pipeline.apply(prepared, other).record_ids) == 1_000


def _comparison(**changed: object) -> dict[str, Any]:
    same = {"sql_condition": "city_l = city_r", "m_probability": 0.9, "u_probability": 0.1} | changed
    other = {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.9}
    return {"comparisons": [{"output_column_name": "town", "comparison_levels": [same, other]}]}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 1}, "'speed' cannot be overridden; expected one of probability_two_random"),
        ({PRIOR: "often"}, "probability_two_random_records_match is 'often'; expected a number above 0 and below 1"),
        ({PRIOR: True}, "probability_two_random_records_match is True"),
        ({PRIOR: 0}, "probability_two_random_records_match is 0"),
        ({PRIOR: 1}, "probability_two_random_records_match is 1"),
        ({PRIOR: float("nan")}, "probability_two_random_records_match is nan"),
        ({"comparisons": {"a": 1}}, "comparisons is .*; expected a list"),
        ({"comparisons": ["town"]}, "comparisons: expected objects, each with .* output_column_name; got 'town'"),
        ({"comparisons": [{"output_column_name": "town"}]}, "town: comparison_levels is None; expected a list"),
        ({"comparisons": [{"output_column_name": "town", "comparison_levels": []}]}, "town: the last .* ELSE"),
        ({"comparisons": [{"output_column_name": "town", "comparison_levels": [7]}]}, "town: expected levels that are"),
        (_comparison(m_probability=0), "town: m_probability is 0; expected a number above 0 and at most 1"),
        (_comparison(u_probability=1.5), "town: u_probability is 1.5; expected a number above 0 and at most 1"),
        (_comparison(u_probability=None), "town: u_probability is None"),
        (_comparison(colour="red"), "town: level key 'colour' is unknown"),
        (_comparison(tf_adjustment_weight=-1), "town: tf_adjustment_weight is -1"),
        (_comparison(tf_adjustment_column="moon"), "town: tf_adjustment_column is 'moon'; expected one of .*city"),
        (_comparison(tf_adjustment_column="dob"), "town.* without a level that is their equality"),
        (_comparison(sql_condition="moon_l = moon_r"), "town: sql_condition: .*moon_l"),
        (_comparison(sql_condition="city_l ="), "town: sql_condition: .*syntax error"),
        (_comparison(sql_condition="city_l = city_r -- x"), "town: sql_condition: .*syntax error"),
        (_comparison(sql_condition="reverse(city_l) = city_r"), "town.* uses SQL that the compiled scorer"),
        ({RULES: "l.city = r.city"}, "blocking_rules_to_generate_predictions is .*; expected a list"),
        ({RULES: [3]}, "blocking_rules_to_generate_predictions: 3 is no rule"),
        ({RULES: [{"rule": "l.city = r.city"}]}, "is no rule; expected SQL, or an object with blocking_rule"),
        ({RULES: ["l.moon = r.moon"]}, "blocking_rules_to_generate_predictions: .*moon"),
    ],
)  # fmt: skip
def test_what_cannot_be_overridden_is_named_with_what_was_expected(given: dict[str, Any], words: str):
    con = duckdb.connect()
    con.execute("CREATE TABLE records (rid BIGINT, source VARCHAR, city VARCHAR, dob VARCHAR)")
    with pytest.raises(MatchingError, match=words):
        overrides(con, ("city", "dob"), given)


@pytest.mark.parametrize("content", ["[]", "{", "\xff"])
def test_a_settings_file_that_is_no_json_object(tmp_path: Path, content: str):
    (tmp_path / "settings.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"settings\.json"):
        load_settings(tmp_path / "settings.json")
