"""Records that are known to be one person's: training learns from them, and believes them only so far."""

import csv
import random
from pathlib import Path

import duckdb
import pytest

from bench import people
from matching import evaluate, pipeline, train
from matching.errors import InputError

FIELDS = ("first_name", "last_name", "dob", "postcode")


def labelled(path: Path, share: float, wrong: float = 0.0) -> dict[str, int]:
    """Write 800 records of people, most of them mistyped; column `who` tells of a share of them whose they are, and of
    some of those a wrong one. Gives the truth."""
    rng = random.Random(2)
    rows: list[tuple[people.Person, list[str]]] = []
    for person in people.people(800, seed=6, duplicates=0.6):
        mistyped = rng.sample(FIELDS, rng.choice((0, 1, 2)))
        values = [people.typo(rng, v) if f in mistyped else v for f, v in person.values.items() if f in FIELDS]
        rows.append((person, values))
    entities = sorted({person.entity for person, _ in rows})
    told = rng.sample(entities, round(share * len(entities)))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", "who", *FIELDS])
        for person, values in rows:
            who = f"P{rng.choice(told) if rng.random() < wrong else person.entity}" if person.entity in told else ""
            writer.writerow([person.record_id, who, *values])
    return {person.record_id: person.entity for person, _ in rows}


def found(path: Path, share: float, wrong: float = 0.0) -> tuple[evaluate.Quality, pipeline.Outcome]:
    truth = labelled(path, share, wrong)
    outcome = pipeline.run([path], {"person": "who"})
    return evaluate.pairwise(dict(zip(outcome.record_ids, outcome.cluster_ids, strict=True)), truth), outcome


def test_labels_find_more_and_tell_better_how_much_is_found(tmp_path: Path) -> None:
    without, untold = found(tmp_path / "x.csv", 0.0)
    quality, told = found(tmp_path / "x.csv", 0.5)
    assert quality.f1 > without.f1 + 0.005
    assert quality.precision > 0.97

    def wrong_by(quality: evaluate.Quality, outcome: pipeline.Outcome) -> float:
        return abs(outcome.model.thresholds.expected.recall - quality.recall)

    assert wrong_by(quality, told) < wrong_by(without, untold) - 0.02
    assert "pairs of known persons show" in told.model.thresholds.words
    assert "known persons" not in untold.model.thresholds.words


@pytest.mark.parametrize(("share", "wrong"), [(0.03, 0.0), (0.5, 0.2)], ids=["few", "a fifth is wrong"])
def test_few_or_wrong_labels_do_no_harm(tmp_path: Path, share: float, wrong: float) -> None:
    without, _ = found(tmp_path / "x.csv", 0.0)
    quality, told = found(tmp_path / "x.csv", share, wrong)
    assert quality.f1 >= without.f1 - 0.003
    assert quality.precision > 0.97
    assert any("too few to tell m by themselves" in note for note in told.model.report["notes"])


def test_wrong_labels_would_do_harm_if_they_were_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubted, _ = found(tmp_path / "x.csv", 0.5, 0.5)
    monkeypatch.setattr(train, "LABEL_HOLDS", 1 - 1e-12)
    believed, told = found(tmp_path / "x.csv", 0.5, 0.5)
    assert believed.precision < doubted.precision - 0.02
    assert told.model.thresholds.expected.recall < believed.recall - 0.5


def test_pairs_are_of_few_that_name_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    con = duckdb.connect()
    con.execute("CREATE TABLE records (rid BIGINT, source VARCHAR, person VARCHAR)")
    crowd = [(10 + n, "a", "crowd") for n in range(train.LABELS_SHARED + 1)]
    con.executemany(
        "INSERT INTO records VALUES (?, ?, ?)",
        [(0, "a", "x"), (1, "b", "x"), (2, "b", "x"), (3, "a", None), (4, "b", None), (5, "a", "y"), *crowd],
    )

    def pairs(link_type: str) -> list[tuple[int, int]]:
        left, right = train.labelled_pairs(con, link_type)  # type: ignore[arg-type]
        return list(zip(left.tolist(), right.tolist(), strict=True))

    assert pairs("dedupe") == [(0, 1), (0, 2), (1, 2)]
    assert pairs("link") == [(0, 1), (0, 2)]
    monkeypatch.setattr(train, "MOST_LABELLED", 2)
    assert len(pairs("dedupe")) == 2
    assert pairs("dedupe") == pairs("dedupe")


def test_the_model_reads_no_label(tmp_path: Path) -> None:
    labelled(tmp_path / "x.csv", 0.5)
    outcome = pipeline.run([tmp_path / "x.csv"], {"person": "who"})
    assert outcome.model.fields.person is None
    assert "who" not in str(outcome.model.settings)
    assert outcome.prepared.fields.describe()[1] == ("known person", "who")


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"person": "whom"}, "person names the column 'whom', which is not there"),
        ({"person": "dob", "fields": {"dob": "dob"}}, "may not be compared"),
        ({"person": "postcode", "identifiers": {"card": "postcode"}}, "may not be compared"),
    ],
)
def test_a_label_that_cannot_be_used(tmp_path: Path, mapping: dict[str, object], words: str) -> None:
    labelled(tmp_path / "x.csv", 0.5)
    with pytest.raises(InputError, match=words):
        pipeline.run([tmp_path / "x.csv"], mapping)


def test_a_column_of_labels_that_says_nothing_is_told(tmp_path: Path) -> None:
    _, outcome = found(tmp_path / "x.csv", 0.0)
    said = "0 pairs are known to be one person's by who: no value is shared by 2 to 10 records"
    assert said in outcome.model.report["notes"]
