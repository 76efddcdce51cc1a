"""The match commands as scripts call them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import people

COMMAND = (str(Path(sys.executable).with_name("identity-graph")), "match")


def match(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("match")
    truth = people.write(folder / "people.csv", 2_000)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("record_id", "entity_id"), *truth.items()])
    return folder


def test_train_run_evaluate_explain_compare(folder: Path):
    trained = match("train", folder / "people.csv", "--model", folder / "m1")
    assert trained.returncode == 0, trained.stderr
    assert "first_name" in trained.stdout
    ran = match("run", folder / "people.csv", "--out", folder / "out.csv", "--save-model", folder / "m2", "--json")
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["records"] == 2_000
    assert summary["recognised"]["fields"]["dob"] == ["dob"]
    page = Path(summary["report"]).read_text(encoding="utf-8")
    assert page.count("<svg") >= 4
    with (folder / "out.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["record_id", "cluster_id"]

    evaluated = match("evaluate", folder / "out.csv", "--labels", folder / "labels.csv")
    found = json.loads(evaluated.stdout)
    assert found["pairwise"]["f1"] > 0.95
    assert set(found["b3"]) == {"precision", "recall", "f1"}

    explained = match(
        "explain", folder / "people.csv", "--first", "p0", "--second", "p1", "--model", folder / "m2", "--json"
    )
    score = json.loads(explained.stdout)
    assert {"weight", "probability", "levels"} <= set(score)

    compared = match("compare", folder / "m1", folder / "m2", "--json")
    rows = json.loads(compared.stdout)["differences"]
    assert all(row[0] == "version" or row[1] == row[2] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "none.csv", "--out", "o.csv"], "none.csv"),
        (["evaluate", "people.csv", "--labels", "labels.csv"], "cluster_id"),
        (["explain", "people.csv", "--first", "a", "--second", "b", "--model", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(folder: Path, arguments: list[str], words: str):
    found = match(*(str(folder / a) if a.endswith((".csv", "nowhere")) else a for a in arguments))
    assert found.returncode == 2
    assert words in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(("others", "code", "words"), [(0, 2, "tells records apart"), (2_000, 0, "999,999 records")])
def test_a_million_equal_rows_end_in_bounded_memory(folder: Path, others: int, code: int, words: str):
    with (folder / "equal.csv").open("w", encoding="utf-8") as file:
        file.write(",".join(["record_id", *people.FIELDS]) + "\n")
        for i in range(1_000_000):
            file.write(f"e{i},Ann,Lee,1970-01-01,1 Owl Lane,Aston,12345,0201234567,ann@lee.org\n")
        for person in people.people(others):
            file.write(",".join([person.record_id, *(person.values[name] for name in people.FIELDS)]) + "\n")
    command = [*COMMAND, "run", "equal.csv", "--out", "out.csv", "--json"]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = (folder / "said").read_text()
    assert process.returncode == code, text
    assert words in text
    assert "Traceback" not in text
    assert used.ru_maxrss < 3 * 2**20  # KiB


def test_labels_that_do_not_fit(folder: Path):
    (folder / "small.csv").write_text("record_id,cluster_id\nx,1\n")
    found = match("evaluate", folder / "small.csv", "--labels", folder / "labels.csv")
    assert found.returncode == 2
    assert "do the ids fit" in found.stderr
