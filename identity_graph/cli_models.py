"""`identity-graph match train --from-graph` and `match activate`: models of the graph, beside those of files."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from identity_graph import cli_match
from identity_graph.cli_match import match_app, progress
from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.database import is_alone, opened_graph, operator
from identity_graph.services import models
from identity_graph.services.active_rules import active_rules
from identity_graph.services.match_records import NOTICED, Matching
from identity_graph.services.submit import now
from identity_graph.settings import Settings

__all__ = ["match_app"]

_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)


@match_app.command()
def train(
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV, Parquet or JSON Lines; several are united by column name.")
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Directory to write the model to.")] = None,
    fields: cli_match.Fields = None,
    settings: cli_match.Settings = None,
    from_graph: Annotated[
        bool, typer.Option("--from-graph", help="Learn from the graph's own records, and keep the model beside it.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on FILES and save it, or on the graph's own records.

    A model of the graph matches nothing before `match activate`.

    Example: identity-graph match train --from-graph
    """
    if not from_graph:
        if not files or model is None:
            raise typer.BadParameter("name FILES and --model DIR, or say --from-graph", param_hint="FILES")
        cli_match.train_on_files(files, model, fields, settings, as_json)
        return
    if files or model or fields or settings:
        raise typer.BadParameter("a model of the graph takes no FILES, --model, --fields or --settings",
                                 param_hint="--from-graph")  # fmt: skip
    with _opened(data_dir, "match train") as (chosen, matching), progress() as told:
        found = models.train(matching.graph, matching.rules, chosen.models, told)
        notes = models.notes(chosen.models, found.version)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "notes": notes}))
        return
    _out.print(f"model [bold]{found.version}[/bold]: {escape(found.text)}")
    for note in notes:
        _out.print(f"[yellow]note:[/yellow] {escape(note)}")
    _out.print(f"Let it match: identity-graph match activate {found.version}")


@match_app.command()
def activate(
    model: Annotated[str | None, typer.Argument(help="The version of a model of the graph.")] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="Go back to the model before; without one all matches are taken back.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let MODEL match from now on: shows what would change first, then matches all records by it.

    The service may run meanwhile. If it is stopped, the same command goes on.

    Example: identity-graph match activate --previous
    """
    if (model is None) is not previous:
        raise typer.BadParameter("name a model, or say --previous", param_hint="MODEL")
    settings = settings_of(data_dir=data_dir)
    alone = is_alone(settings)
    with _opened(data_dir, "match activate") as (chosen, matching):
        version = models.named(matching.graph, model, previous)
        with progress() as told:
            wanted = models.matches_of(matching.graph, chosen.models, version, told) if version else {}
            found = models.difference(matching.graph, matching.rules, wanted, told)
        if not as_json:
            _show(version, found)
        if yes or (not as_json and typer.confirm("Apply it?")):
            _apply(matching, version, alone)
            applied = True
        else:
            applied = False
    if as_json:
        typer.echo(json.dumps({"model": version, "applied": applied, **asdict(found)}))
    elif applied:
        _out.print(f"model [bold]{version}[/bold] matches now" if version else "No model matches now")
    else:
        _out.print("Nothing was changed.")


def _apply(matching: Matching, version: str | None, alone: bool) -> None:
    """Others who use the graph notice the new model only after some seconds."""
    done: dict[str, int] = {}
    with progress() as told:

        def more(what: str, many: int) -> None:
            done[what] = done.get(what, 0) + many
            told(f"{what} {done[what]:,} records")

        models.activate(matching, version, more, patience=0.0 if alone else NOTICED, actor=operator())


def _show(version: str | None, found: models.Difference) -> None:
    table = Table("", "now", "then", box=None, pad_edge=False)
    table.add_row("matched links that join", *(f"{many:,}" for many in found.joining))
    table.add_row("proposals", *(f"{many:,}" for many in found.proposals))
    _out.print(table)
    _out.print(
        f"With {f'model {version}' if version else 'no model'}, {found.merges:,} profiles would merge into others, and "
        f"{found.splits:,} would split off."
    )


@contextmanager
def _opened(data_dir: Path | None, command: str) -> Generator[tuple[Settings, Matching]]:
    chosen = settings_of(data_dir=data_dir)
    with opened_graph(chosen, command) as graph:
        yield chosen, Matching(graph, active_rules(graph, None, now()), chosen.models, now)
