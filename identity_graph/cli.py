"""`identity-graph`: the command line. What a command needs is imported when it is called, so help comes at once."""

import json
import logging
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from identity_graph.cli_options import AsJson, DataDir, settings_of

if TYPE_CHECKING:
    from identity_graph.api.context import Services
    from identity_graph.settings import Settings


class Late(NamedTuple):
    """A command of another module: where it is, and its line in the help."""

    place: str
    summary: str


#: Commands and groups of commands that other modules define, as a Typer application or as a function.
LATE = {
    "demo": Late("identity_graph.cli_demo:demo", "Load customers of five sources and show what becomes of them."),
    "ingest": Late("identity_graph.cli_ingest:ingest", "Take files into the graph."),
    "verify": Late("identity_graph.cli_ingest:verify", "Compare the profiles with their evidence, all of them."),
    "match": Late("identity_graph.cli_models:match_app", "Find records of the same person by what they say."),
    "events": Late("identity_graph.cli_events:events_app", "Look after the events of people."),
    "segment": Late("identity_graph.cli_segments:segment_app", "Groups of people by rules, kept as the data changes."),
    "score": Late("identity_graph.cli_scores:score_app", "Learn what people will probably do, as a trait."),
    "audit": Late("identity_graph.cli_audit:audit_app", "See who read and who changed."),
    "export": Late("identity_graph.cli_segments:export_app", "Write profiles to Parquet, CSV or JSON Lines."),
    "rules": Late("identity_graph.cli_rules:rules_app", "Work with rules files."),
    "neo4j": Late("identity_graph.cli_neo4j:neo4j_app", "Look after the embedded database."),
    "doctor": Late("identity_graph.cli_neo4j:doctor", "See what is installed, reachable and writable, with advice."),
}


def load(name: str) -> Any:
    """The command of that name as the command line needs it."""
    module, _, attribute = LATE[name].place.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer()
        alone.command(name)(found)
        found = alone
    command = get_command(found)
    command.name = name
    return command


class _Commands(dict[str, Any]):
    """Commands by name; a late one is imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            self[name] = load(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - it is `get` itself


class Commands(TyperGroup):
    """The root. Its help lists late commands without importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(**self.commands, **dict.fromkeys(LATE))
        self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._listing and cmd_name in LATE:
            return TyperCommand(cmd_name, help=LATE[cmd_name].summary)
        return super().get_command(ctx, cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        super().format_help(ctx, formatter)
        self._listing = False


app = typer.Typer(
    cls=Commands,
    help="Which identifiers are the same person? Start with `demo`, or with `serve` and `ingest`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
keys_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535, show_default="8000")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Answer GraphQL and HTTP requests until Ctrl-C or SIGTERM.

    Starts the embedded database, unless NEO4J_URI names another. Prints one line `ready http://…` once it answers.

    Example: identity-graph serve --port 8080
    """
    chosen = settings_of(host=host, port=port, data_dir=data_dir)
    # The driver tells of every attempt; what becomes of them is an error of ours.
    logging.getLogger("neo4j").setLevel(logging.ERROR)
    from identity_graph import app as application

    application.serve(chosen.host, chosen.port, chosen.api_keys, lambda: _services(chosen), _announce)


@contextmanager
def _services(chosen: "Settings") -> Generator["Services"]:
    from identity_graph.app import opened
    from identity_graph.database import database
    from identity_graph.services.rules_file import load_rules

    wanted = load_rules(chosen.rules) if chosen.rules else None
    with database(chosen) as connection, opened(connection, wanted, chosen.models, chosen.audit) as services:
        yield services


def _announce(address: str) -> None:
    print(f"ready {address}", flush=True)  # noqa: T201 - scripts wait for exactly this line


@app.command()
def migrate(
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date. `serve` does it too; it never hurts to do it twice.

    Example: identity-graph migrate --data-dir ./data
    """
    from identity_graph.database import database, patient
    from identity_graph.services.submit import now

    with database(settings_of(data_dir=data_dir)) as connection, closing(patient(connection)) as graph:
        applied = graph.migrate(now())
    if as_json:
        typer.echo(json.dumps({"applied": applied}))
    else:
        typer.echo("\n".join(f"applied {name}" for name in applied) or "up to date")


@app.command("export-schema")
def export_schema(
    out: Annotated[Path | None, typer.Option(help="A file; else it is printed.", dir_okay=False)] = None,
) -> None:
    """The GraphQL schema in its own language.

    Example: identity-graph export-schema --out graphql/schema.graphql
    """
    from identity_graph.api.schema import sdl

    if out:
        out.write_text(sdl(), encoding="utf-8")
    else:
        typer.echo(sdl(), nl=False)


@keys_app.callback()
def keys() -> None:
    """API keys."""


@keys_app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What the key is called in the settings.", show_default=False)],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write, pii or admin; may be repeated.", show_default="read")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once: the service only ever knows its hash.

    Example: identity-graph keys new shop --scope read --scope write
    """
    from identity_graph.api import keys as api

    if not name.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter("a name has letters, digits, - and _", param_hint="NAME")
    known = {s.value: s for s in api.Scope}
    scopes = scope or ["read"]
    if unknown := set(scopes) - set(known):
        raise typer.BadParameter(f"{min(unknown)} is none of {', '.join(known)}", param_hint="--scope")
    text, key = api.new_key(name, frozenset(known[s] for s in scopes))
    if as_json:
        typer.echo(json.dumps({"key": text, "setting": str(key)}))
        return
    typer.echo(f"key:     {text}\nsetting: {key}")
    Console(stderr=True, soft_wrap=True).print(
        "\nSend the key as [bold]Authorization: Bearer KEY[/bold]. Put the setting into "
        "[bold]IDENTITY_GRAPH_API_KEYS[/bold]; several are separated by commas."
    )


#: Errors that a user can do something about, by the module that defines them.
EXPECTED = {
    "identity_graph.app": "CannotServe",
    "identity_graph.domain.matches": "UnusableModel",
    "identity_graph.neo4j_runtime": "RuntimeFailure",
    "identity_graph.services.active_rules": "OtherRules",
    "identity_graph.services.audit": "CannotAudit",
    "identity_graph.services.export": "NothingToExport",
    "identity_graph.services.rules_file": "RulesFileError",
    "identity_graph.store.errors": "StoreError",
}


def explained(error: Exception) -> str | None:
    """The sentence for an error that a user can do something about; None for a defect."""
    # An error exists only if its module was imported, and to import all of them takes seconds.
    expected = tuple(getattr(sys.modules[module], name) for module, name in EXPECTED.items() if module in sys.modules)
    if isinstance(error, expected):
        return str(error)
    if "pydantic" in sys.modules:
        from pydantic import ValidationError

        if isinstance(error, ValidationError):
            return "\n".join(
                f"setting {'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors(include_input=False)
            )
    return None


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 used wrongly."""
    try:
        app()
    except Exception as error:
        sentence = explained(error)
        if sentence is None:
            raise
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/bold red] {escape(sentence)}", highlight=False)
        sys.exit(1)
