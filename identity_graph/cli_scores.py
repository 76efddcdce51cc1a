"""`identity-graph score`: what people will probably do, learnt from what they did."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.database import opened_graph
from identity_graph.domain.scores import BadScore, Task
from identity_graph.services import scores
from identity_graph.services.active_rules import active_rules
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph

score_app = typer.Typer(help="Learn what people will probably do, and write it as a trait.", no_args_is_help=True)

_err = Console(stderr=True, soft_wrap=True, highlight=False)

Name = Annotated[str, typer.Argument(help="The score, which is also the name of the trait.", show_default=False)]


@score_app.command()
def train(
    name: Name,
    event: Annotated[str, typer.Option(help="The type of the event that is to be foretold.", show_default=False)],
    within_days: Annotated[int, typer.Option(help="Within so many days.")] = 30,
    apply: Annotated[bool, typer.Option("--apply", help="Write the score of every profile as well.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Learn who will do an event within some days, judge that on a later time, and write a report.

    Needs the extra `score`: pip install 'identity-graph[score]'.

    Example: identity-graph score train buys_soon --event purchase --within-days 30
    """
    task = Task(name, event, within_days)
    with _refusals():
        task.check()
    with _graph(data_dir, "score train", as_json) as (graph, folder), _told("read") as told:
        trained = scores.train(graph, task, folder, now(), told)
        applied = _apply(graph, folder, name) if apply else None
    judged = trained.judged
    if as_json:
        said = {"version": trained.model.version, "report": str(trained.report), "judged": asdict(judged)}
        typer.echo(json.dumps(said | ({"applied": asdict(applied)} if applied else {})))
        return
    _err.print(
        f"{judged.people:,} profiles of a later time: area under the curve {judged.auc:.3f}, Brier score "
        f"{judged.brier:.4f} (always saying the share: {judged.brier_base:.4f}). Report: {trained.report}"
    )
    if applied:
        _err.print(f"{applied.profiles:,} profiles scored, {applied.changed:,} show something else now")
    else:
        _err.print(f"Write it as a trait: identity-graph score apply {name}")


@score_app.command()
def apply(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write the score of every profile as the trait NAME, with the source `score:NAME`; goes on where it was stopped.

    Segments follow in the same transactions. May run beside the service, and again whenever scores shall be fresh.

    Example: identity-graph score apply buys_soon
    """
    with _graph(data_dir, "score apply", as_json) as (graph, folder):
        applied = _apply(graph, folder, name)
    if as_json:
        typer.echo(json.dumps(asdict(applied)))
    else:
        _err.print(f"{applied.profiles:,} profiles scored, {applied.changed:,} show something else now")


def _apply(graph: Graph, folder: Path, name: str) -> scores.Applied:
    with _told("scored") as told:
        return scores.apply(graph, active_rules(graph, None, now()), folder, name, now, told)


@contextmanager
def _told(done: str) -> Generator[scores.Told]:
    with _err.status("Looking") as status:
        yield lambda many: status.update(f"{many:,} profiles {done}")


@contextmanager
def _graph(data_dir: Path | None, command: str, as_json: bool) -> Generator[tuple[Graph, Path]]:
    """The graph, and the folder of its scores."""
    settings = settings_of(data_dir=data_dir)
    with _refusals(), opened_graph(settings, command, progress=not as_json) as graph:
        yield graph, settings.data_dir / "scores"


@contextmanager
def _refusals() -> Generator[None]:
    """What is wrong with a score ends the command with its message."""
    try:
        yield
    except BadScore as e:
        _err.print(escape(str(e)))
        raise typer.Exit(2 if str(e).startswith(("NAME", "--")) else 1) from None
