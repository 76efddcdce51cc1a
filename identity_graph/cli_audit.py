"""`identity-graph audit`: who read and who changed."""

import json
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console

from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.database import opened_graph
from identity_graph.services.audit import audit_entries, verify_audit

audit_app = typer.Typer(help="See who read and who changed.", no_args_is_help=True)


@audit_app.callback()
def audit() -> None:
    """See who read and who changed."""


@audit_app.command()
def verify(
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Check that nothing of the audit was changed, taken out or cut off. Exit code 1 where something was.

    Example: identity-graph audit verify
    """
    settings = settings_of(data_dir=data_dir)
    with opened_graph(settings, "audit verify", progress=not as_json) as graph:
        verdict = verify_audit(settings.audit, graph)
    if as_json:
        found = {"files": verdict.files, "lines": verdict.lines, "findings": verdict.findings}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        console = Console(soft_wrap=True, highlight=False)
        for finding in verdict.findings:
            console.print(f"[red]{finding}[/red]")
        console.print(f"{verdict.lines:,} lines in {verdict.files:,} files: {len(verdict.findings):,} findings")
    raise typer.Exit(1 if verdict.findings else 0)


@audit_app.command()
def show(
    data_dir: DataDir = None,
    profile: Annotated[str | None, typer.Option(help="Only what shows this profile.")] = None,
    caller: Annotated[str | None, typer.Option(help="Only what the API key of this name did.")] = None,
) -> None:
    """Print what was written down, one JSON object a line, the oldest first in each file.

    Example: identity-graph audit show --caller crm-team
    """
    settings = settings_of(data_dir=data_dir)
    for entry in audit_entries(settings.audit):
        if (profile is None or profile in entry["profiles"]) and (caller is None or caller == entry["caller"]):
            at = datetime.fromtimestamp(entry["at"] / 1e6, UTC).isoformat()
            typer.echo(orjson.dumps({**entry, "at": at}))
