"""A table and a single record are normalised alike, from all columns that tell."""

import csv
from pathlib import Path
from typing import Any

import pytest

from matching import pipeline


def normalised(tmp_path: Path, row: dict[str, str], mapping: dict[str, Any] | None = None) -> dict[str, object]:
    """The record as the table has it; normalising it alone must give the same."""
    with (tmp_path / "x.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(row), list(row.values())])
    con = pipeline.connect()
    plan = pipeline.prepare(con, [tmp_path / "x.csv"], mapping).plan
    alone = plan.normalise(row)
    assert [tuple(alone.values())] == con.sql(f"SELECT {', '.join(plan.columns)} FROM records").fetchall()
    return dict(alone)


@pytest.mark.parametrize(
    ("row", "suffix"),
    [
        ({"first_name": "Robert Jr", "last_name": "Lee"}, "jr"),
        ({"first_name": "Robert Jr", "last_name": "Lee III"}, "iii"),
        ({"first_name": "Robert", "last_name": "Lee", "suffix": "Sr"}, "sr"),
        ({"first_name": "Robert Jr", "last_name": "Lee", "full_name": ""}, "jr"),
        ({"first_name": "Robert", "last_name": "Lee"}, None),
    ],
)
def test_a_suffix_is_kept_wherever_it_is_written(tmp_path: Path, row: dict[str, str], suffix: str | None):
    found = normalised(tmp_path, row)
    assert (found["first_name"], found["last_name"], found["suffix"]) == ("robert", "lee", suffix)


@pytest.mark.parametrize("mapping", [None, {"fields": {"country": "country"}, "identifiers": {"phone": "phone"}}])
def test_a_record_s_country_reads_its_phone(tmp_path: Path, mapping: dict[str, Any] | None):
    row = {"phone": "8 (912) 345-67-89", "country": "Russian Federation"}
    assert normalised(tmp_path, row, mapping) == {"phone": "9123456789"}
    assert normalised(tmp_path, row | {"country": ""}, mapping) == {"phone": "89123456789"}
