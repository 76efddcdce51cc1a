"""A whole run, on sizes at which its figures mean nothing."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from bench import __main__ as program
from bench.__main__ import BENCHMARKS, main, measure, summary
from bench.harness import Figure, write_results
from bench.run import FULL, QUICK, Run, Sizes, sizes

TINY = Sizes(
    identifiers=1000,
    profiles=200,
    segments=2,
    records=300,
    matched=60,
    cold=150,
    warm=150,
    batched=600,
    fed=1000,
    seconds=0.2,
    warming=0.1,
    acts=2,
    retracted=60,
)


def test_sizes_are_full_unless_asked_otherwise() -> None:
    assert sizes(quick=False, identifiers=None, profiles=None) == FULL
    assert sizes(quick=True, identifiers=None, profiles=None) == QUICK
    smaller = sizes(quick=False, identifiers=5000, profiles=2000)
    assert (smaller.identifiers, smaller.profiles, smaller.fed) == (5000, 2000, FULL.fed)


@pytest.mark.parametrize("wrong", [["speed"], ["--identifiers", "1"], ["--profiles", "1"], ["--fast"]])
def test_it_is_told_when_it_is_asked_wrongly(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert wrong[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "kept"),
    [([], 1, True), (["--quick"], 0, False), (["--identifiers", "5000"], 1, False), (["memory"], 1, True)],
)
def test_only_a_full_run_is_kept_and_judged(
    arguments: list[str], code: int, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    given: list[Path] = []

    def measured(names: list[str], size: Sizes, out: Path, console: Console) -> bool:
        given.append(out)
        out.mkdir(exist_ok=True)
        return False

    monkeypatch.setattr(program, "RESULTS", results)
    monkeypatch.setattr(program, "measure", measured)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(arguments) == code
    assert (given == [results]) is kept
    assert (given[0] / "README.md").exists()


def test_streams_go_on_with_the_same_people(tmp_path: Path) -> None:
    with Run(tmp_path, tmp_path, TINY, lambda _: None) as run:
        (whole,) = run.streams(5, whole=500)
        parts = run.streams(5, first=200, second=300)
    assert b"".join(part.read_bytes() for part in parts) == whole.read_bytes()


def test_the_summary_shows_every_result_in_its_order(tmp_path: Path) -> None:
    figures = [Figure("warm", 5200, "observations/s", at_least=5000, baseline=520)]
    for name in reversed(BENCHMARKS):
        write_results(tmp_path, name, figures, {"processor": "two"})
    page = summary(tmp_path)
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        title for title, _ in BENCHMARKS.values()
    ]
    assert page.count("| warm | 5,200 observations/s | ≥ 5,000 | yes | 520 | 10.0× |") == len(BENCHMARKS)
    assert "](ingest.svg)" in page


@pytest.mark.neo4j
@pytest.mark.timeout(1800)
def test_a_run_measures_every_row(tmp_path: Path) -> None:
    """The commands as users type them, the service over HTTP, and the naive design beside them."""
    measure(list(BENCHMARKS), TINY, tmp_path, Console(quiet=True))
    for name in BENCHMARKS:
        found = json.loads((tmp_path / f"{name}.json").read_text())
        assert all(figure["value"] >= 0 or "growth" in figure["name"] for figure in found["figures"])
        assert "Neo4j" in found["facts"]["database"]
        assert (tmp_path / f"{name}.md").exists()
    charts = {path.stem for path in tmp_path.glob("*.svg")}
    assert charts == {"ingest", "submit", "resolve", "profiles", "memory"}
    rows = summary(tmp_path).count("| yes |") + summary(tmp_path).count("| **no** |")
    assert rows == 41, "the table of what the product promises has another length"
