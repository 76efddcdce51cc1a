"""`identity-graph match …`: the matching library on the command line, without any database."""

import csv
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from identity_graph.cli_options import AsJson
from matching import evaluate as quality
from matching import pipeline, report
from matching.errors import InputError, MatchingError
from matching.model import Model
from matching.scorer import Score
from matching.settings import load_settings

match_app = typer.Typer(
    help="Find records of one person in files: train, cluster, evaluate, explain.", no_args_is_help=True
)
_out = Console()
_err = Console(stderr=True)

Files = Annotated[list[Path], typer.Argument(help="CSV, Parquet or JSON Lines; several are united by column name.")]
Fields = Annotated[Path | None, typer.Option("--fields", help="YAML: which column is which field.")]
Settings = Annotated[
    Path | None, typer.Option("--settings", help="JSON with Splink settings that override the choice.")
]


@contextmanager
def _sentences() -> Generator[None]:
    """Turn expected failures into a sentence and exit code 2."""
    try:
        yield
    except MatchingError as error:
        _err.print(f"[red]error:[/red] {escape(str(error))}")
        raise typer.Exit(2) from None


@contextmanager
def progress() -> Generator[pipeline.Progress]:
    """What tells a person at a terminal, and nobody else, what is being done."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda words: bar.update(task, description=words)


@match_app.command()
def run(
    files: Files,
    out: Annotated[Path, typer.Option("--out", help="CSV to write: record_id,cluster_id.")],
    fields: Fields = None,
    settings: Settings = None,
    model: Annotated[Path | None, typer.Option("--model", help="Use this trained model instead of training.")] = None,
    save_model: Annotated[
        Path | None, typer.Option("--save-model", help="Keep the trained model in this directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train on FILES, cluster them, and write clusters and an HTML report beside them.

    Example: identity-graph match run customers.csv --out clusters.csv
    """
    with _sentences():
        used = Model.load(model) if model else None
        with progress() as told:
            outcome = pipeline.run(files, fields, settings, used, told)
            told("writing")
            _write_clusters(outcome, out)
            page = out.with_suffix(".report.html")
            page.write_text(report.render(outcome, files[0].name), encoding="utf-8")
        if save_model:
            outcome.model.save(save_model)
    summary = _summary(outcome, out, page)
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    _recognised(outcome.model)
    _out.print(
        f"{summary['records']:,} records in [bold]{summary['clusters']:,}[/bold] clusters, the largest of "
        f"{summary['largest_cluster']}; {escape(outcome.model.thresholds.words)}"
    )
    _out.print(f"clusters: {escape(str(out))}\nreport:   {escape(str(page))}")


def train_on_files(files: list[Path], model: Path, fields: Path | None, settings: Path | None, as_json: bool) -> None:
    """Train a model on files and save it: `match train` without `--from-graph`."""
    with _sentences(), progress() as told:
        prepared = pipeline.prepare(pipeline.connect(), files, fields, progress=told)
        trained = pipeline.fit(prepared, load_settings(settings) if settings else None, told)
        trained.save(model)
    if as_json:
        sys.stdout.write(
            json.dumps({"version": trained.version, "thresholds": trained.thresholds.as_dict(), **trained.report})
            + "\n"
        )
        return
    _recognised(trained)
    _out.print(f"model {trained.version}: {escape(trained.thresholds.words)}")
    for warning in trained.report["warnings"]:
        _out.print(f"[yellow]note:[/yellow] {escape(warning)}")


@match_app.command()
def evaluate(
    out: Annotated[Path, typer.Argument(help="CSV with record_id,cluster_id.")],
    labels: Annotated[Path, typer.Option("--labels", help="CSV with record_id,entity_id.")],
) -> None:
    """Compare clusters with known truth; prints JSON.

    Example: identity-graph match evaluate clusters.csv --labels truth.csv
    """
    with _sentences():
        clusters = _pairs(out, "record_id", "cluster_id")
        entities = _pairs(labels, "record_id", "entity_id")
        common = clusters.keys() & entities.keys()
        if not common:
            raise InputError(f"{labels.name} names none of the {len(clusters)} records of {out.name}; do the ids fit?")
        found = {
            "records": len(common),
            "records_without_label": len(clusters.keys() - entities.keys()),
            "labels_without_record": len(entities.keys() - clusters.keys()),
            "pairwise": quality.pairwise(clusters, entities).as_dict(),
            "b3": quality.b_cubed(clusters, entities).as_dict(),
        }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


@match_app.command()
def explain(
    files: Files,
    first: Annotated[str, typer.Option("--first", help="Record id.")],
    second: Annotated[str, typer.Option("--second", help="Record id.")],
    model: Annotated[Path, typer.Option("--model", help="A trained model's directory.")],
    as_json: AsJson = False,
) -> None:
    """Show what speaks for and against two records being one person.

    Example: identity-graph match explain customers.csv --model ./model --first 17 --second 42
    """
    with _sentences():
        used = Model.load(model)
        prepared = pipeline.prepare(pipeline.connect(), files, model=used)
        score, prior = pipeline.explain(prepared, used, first, second)
    if as_json:
        levels = [{"comparison": lv.comparison, "level": lv.level, "weight": lv.weight} for lv in score.levels]
        sys.stdout.write(
            json.dumps({"weight": score.weight, "probability": score.probability, "levels": levels}) + "\n"
        )
        return
    _out.print(waterfall(score, prior))
    auto = used.thresholds.auto
    verdict = "merged" if score.weight >= auto else "for review" if score.weight >= used.thresholds.review else "apart"
    _out.print(f"{score.weight:.1f} bits, p = {score.probability:.4f}; merged from {auto:.1f} bits: {verdict}")


def waterfall(score: Score, prior: float, width: int = 36) -> Table:
    """A pair's weights as bars for the terminal."""
    table = Table(box=None, pad_edge=False)
    for title in ("comparison", "level"):
        table.add_column(title)
    table.add_column("bits", justify="right")
    table.add_column("")
    rows = [("prior", "two random records", prior), *((lv.comparison, lv.level, lv.weight) for lv in score.levels)]
    top = max(abs(weight) for _, _, weight in rows) or 1.0
    for name, label, weight in rows:
        bar = "█" * round(abs(weight) / top * width)
        table.add_row(name, label, f"{weight:+.1f}", f"[{'green' if weight >= 0 else 'red'}]{bar}[/]")
    return table


@match_app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="Directory of one model.")],
    after: Annotated[Path, typer.Argument(help="Directory of another.")],
    as_json: AsJson = False,
) -> None:
    """Compare two models: thresholds, and level weights that differ by half a bit or more.

    Example: identity-graph match compare ./model-of-may ./model-of-june
    """
    with _sentences():
        found = pipeline.compare(Model.load(before), Model.load(after))
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    table = Table("what", "before", "after", box=None)
    for row in found["differences"]:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row))
    _out.print(table)


def _write_clusters(outcome: pipeline.Outcome, out: Path) -> None:
    repeated = len(set(outcome.record_ids)) < len(outcome.record_ids)
    ids = outcome.cluster_ids
    try:
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if repeated:  # ids are unique only within their source
                writer.writerow(["record_id", "cluster_id", "source"])
                first = [f"{outcome.sources[i]}:{outcome.record_ids[i]}" for i in outcome.clusters.label]
                writer.writerows(zip(outcome.record_ids, first, outcome.sources, strict=True))
            else:
                writer.writerow(["record_id", "cluster_id"])
                writer.writerows(zip(outcome.record_ids, ids, strict=True))
    except OSError as error:
        raise InputError(f"cannot write {out.name}: {error.strerror}") from error


def _summary(outcome: pipeline.Outcome, out: Path, page: Path) -> dict[str, Any]:
    sizes: dict[int, int] = {}
    for label in outcome.clusters.label.tolist():
        sizes[label] = sizes.get(label, 0) + 1
    return {
        "records": len(outcome.record_ids),
        "clusters": len(sizes),
        "largest_cluster": max(sizes.values(), default=0),
        "pairs_compared": outcome.model.report["pairs_compared"],
        "model": outcome.model.version,
        "thresholds": outcome.model.thresholds.as_dict(),
        "recognised": outcome.model.fields.as_dict(),
        "warnings": [*outcome.model.report["notes"], *outcome.model.report["warnings"]],
        "seconds": {name: round(value, 2) for name, value in outcome.prepared.seconds.items()},
        "out": str(out),
        "report": str(page),
    }


def _recognised(model: Model) -> None:
    table = Table("what", "column", box=None, title="recognised", title_justify="left")
    for what, column in model.fields.describe():
        table.add_row(escape(what), escape(column))
    _out.print(table)
    for note in model.report["notes"]:
        _out.print(f"[yellow]note:[/yellow] {escape(note)}")


def _pairs(path: Path, key: str, value: str) -> dict[str, str]:
    """Two columns of a CSV file as a mapping. Raises InputError naming what is missing."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            have = reader.fieldnames or []
            if key not in have or value not in have:
                raise InputError(
                    f"{path.name} must have the columns {key} and {value}; it has {', '.join(have) or 'none'}"
                )
            found: dict[str, str] = {}
            for row in reader:
                if row[key] in found and found[row[key]] != row[value]:
                    raise InputError(f"{path.name}: line {reader.line_num} gives a record a second {value}")
                found[row[key]] = row[value]
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path.name} cannot be read as CSV: {type(error).__name__}") from error
