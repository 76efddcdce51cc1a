"""`identity-graph neo4j`: the embedded database. `identity-graph doctor`: is everything there that is needed?"""

import json
import time
from contextlib import closing, suppress
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from identity_graph import neo4j_runtime
from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.neo4j_runtime import Connection, Finding, RuntimeFailure, Status
from identity_graph.settings import Settings

neo4j_app = typer.Typer(
    help="The embedded database: a private Neo4j that commands start and share by themselves.", no_args_is_help=True
)


@neo4j_app.callback()
def neo4j() -> None:
    """The embedded database: a private Neo4j that commands start and share by themselves."""


@neo4j_app.command()
def start(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="The port; else a free one.", min=1, max=65535)] = None,
    version: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(neo4j_runtime.known_versions())}.", show_default=False)
    ] = None,
    heap_mb: Annotated[int | None, typer.Option(help="Heap in MB.", min=256, show_default=False)] = None,
    page_cache_mb: Annotated[int | None, typer.Option(help="Page cache in MB.", min=64, show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded database and leave it running until `neo4j stop`.

    Other commands start it by themselves and end it when they are done; left running, they find it warm.

    Example: identity-graph neo4j start --port 7687
    """
    chosen = _embedded(data_dir, heap_mb=heap_mb, page_cache_mb=page_cache_mb)
    with neo4j_runtime.running(
        chosen.data_dir,
        version=version,
        heap_mb=chosen.heap_mb,
        page_cache_mb=chosen.page_cache_mb,
        port=port,
        progress=not as_json,
        keep=True,
    ):
        pass
    _show(neo4j_runtime.status(chosen.data_dir), as_json)


@neo4j_app.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Whether the embedded database runs, where, and whether anyone uses it.

    Example: identity-graph neo4j status --json
    """
    _show(neo4j_runtime.status(_embedded(data_dir).data_dir), as_json)


@neo4j_app.command()
def stop(
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Also while another command uses it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the embedded database.

    Example: identity-graph neo4j stop
    """
    chosen = _embedded(data_dir)
    found = neo4j_runtime.status(chosen.data_dir)
    if found.in_use and not force:
        raise RuntimeFailure("in_use", "Another command uses the database.", "End it first, or stop with --force.")
    neo4j_runtime.stop(chosen.data_dir)
    if as_json:
        typer.echo(json.dumps({"stopped": found.running}))
    else:
        typer.echo("stopped" if found.running else "it was not running")


@neo4j_app.command()
def dump(
    file: Annotated[Path, typer.Argument(help="The file to write.", dir_okay=False, show_default=False)],
    data_dir: DataDir = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the whole graph into one file. The database is stopped meanwhile, and started again if it was kept.

    Example: identity-graph neo4j dump graph.dump
    """
    if file.exists() and not overwrite:
        raise typer.BadParameter(f"{file} exists; add --overwrite to replace it", param_hint="FILE")
    neo4j_runtime.dump(_embedded(data_dir).data_dir, file, progress=not as_json)
    _done(as_json, "wrote", file)


@neo4j_app.command()
def load(
    file: Annotated[Path, typer.Argument(help="A file that `dump` wrote.", dir_okay=False, show_default=False)],
    data_dir: DataDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replace the whole graph by what a dump holds.

    Example: identity-graph neo4j load graph.dump --yes
    """
    chosen = _embedded(data_dir)
    if not yes:
        typer.confirm(f"Replace the graph in {chosen.data_dir} by {file}?", abort=True, err=True)
    neo4j_runtime.load(chosen.data_dir, file, progress=not as_json)
    _done(as_json, "loaded", file)


@neo4j_app.command()
def check(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check that the database's files are consistent. `verify` checks the identities in it.

    Example: identity-graph neo4j check
    """
    chosen = _embedded(data_dir)
    neo4j_runtime.check(chosen.data_dir, progress=not as_json)
    _done(as_json, "consistent", chosen.data_dir)


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look at everything the service needs, and say what to do where something is amiss.

    Exit code 0: all is well. 1: something is not.

    Example: identity-graph doctor
    """
    chosen = settings_of(data_dir=data_dir)
    external = None
    if chosen.neo4j_uri:
        external = Connection(chosen.neo4j_uri, chosen.neo4j_user, chosen.neo4j_password.get_secret_value())
    with Console(stderr=True).status("Looking"):
        findings = neo4j_runtime.diagnose(
            chosen.data_dir, external, heap_mb=chosen.heap_mb, page_cache_mb=chosen.page_cache_mb
        )
        findings += [*([_rules(chosen.rules)] if chosen.rules else []), _port(chosen.host, chosen.port)]
    if as_json:
        typer.echo(json.dumps({"ok": all(f.ok for f in findings), "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        Console().print(_table(findings))
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _rules(file: Path) -> Finding:
    from identity_graph.services.rules_file import RulesFileError, load_rules

    try:
        load_rules(file)
    except RulesFileError as error:
        return Finding("rules file", False, str(error), "Correct it, or set IDENTITY_GRAPH_RULES to another file.")
    return Finding("rules file", True, str(file))


def _port(host: str, port: int) -> Finding:
    """Whether `serve` can listen there, or does so already."""
    from identity_graph.api.health import LIVE
    from identity_graph.app import CannotServe, bound

    try:
        bound(host, port).close()
    except CannotServe as error:
        with suppress(OSError, HTTPException), closing(HTTPConnection(host, port, timeout=2)) as http:
            http.request("GET", "/livez")
            if http.getresponse().read() == LIVE:
                return Finding("port", True, f"the service runs at {host}, port {port}")
        detail = str(error).partition(";")[0]
        advice = "End what listens there, or set IDENTITY_GRAPH_PORT or IDENTITY_GRAPH_HOST to another."
        return Finding("port", False, detail, advice)
    return Finding("port", True, f"{host}, port {port} is free")


def _embedded(data_dir: Path | None, **given: int | None) -> Settings:
    """The settings, provided that they mean the embedded database."""
    chosen = settings_of(data_dir=data_dir, **given)
    if chosen.neo4j_uri:
        raise RuntimeFailure(
            "other_database",
            "NEO4J_URI is set, so the embedded database is not used.",
            "Use the tools of that server, or unset NEO4J_URI.",
        )
    return chosen


def _show(found: Status, as_json: bool) -> None:
    password_file = found.data_dir / "password"
    if as_json:
        shown = {**asdict(found), "data_dir": str(found.data_dir), "password_file": str(password_file)}
        typer.echo(json.dumps(shown, indent=2))
        return
    rows = {"data": str(found.data_dir), "state": "running" if found.running else "not running"}
    if found.started_at:
        rows |= {
            "address": f"{found.uri}, user neo4j, password in {password_file}",
            "server": f"Neo4j {found.version}, process {found.pid}, up {time.time() - found.started_at:,.0f} s",
            "memory": f"heap {found.heap_mb} MB, page cache {found.page_cache_mb} MB",
            "use": ("in use" if found.in_use else "not in use")
            + (", stays until `neo4j stop`" if found.keep else ", ends with its last user"),
        }
        if found.restarts:
            rows["crashes"] = f"started again {found.restarts} times"
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/bold]", escape(text))
    Console().print(table)


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in ("", "what", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        mark = "[green]ok[/green]" if finding.ok else "[red]no[/red]"
        advice = f"\n[bold]{escape(finding.advice)}[/bold]" if finding.advice else ""
        table.add_row(mark, escape(finding.name), escape(finding.detail) + advice)
    return table


def _done(as_json: bool, what: str, where: Path) -> None:
    typer.echo(json.dumps({what: str(where)}) if as_json else f"{what} {where}")
