"""`identity-graph events`: the events of people, as a whole."""

import json

import typer
from rich.console import Console

from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.database import opened_graph
from identity_graph.services.active_rules import active_rules
from identity_graph.services.expire import expire as forget
from identity_graph.services.submit import now

events_app = typer.Typer(help="Look after the events of people.", no_args_is_help=True)


@events_app.callback()
def events() -> None:
    """Look after the events of people."""


@events_app.command()
def expire(
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Forget the events that are older than the rules allow: `retention_days` of `[events.TYPE]`.

    Counts, sums and dates of first and last stay. May be stopped at any time, and run beside the service.

    Example: identity-graph events expire
    """
    settings = settings_of(data_dir=data_dir)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with opened_graph(settings, "events expire", progress=not as_json) as graph:
        rules = active_rules(graph, None, now())
        with console.status("Looking") as status:
            found = forget(graph, rules, now(), lambda type, many: status.update(f"{type}: {many:,} forgotten"))
    if as_json:
        typer.echo(json.dumps(found))
    elif found:
        console.print(", ".join(f"{many:,} of {type} forgotten" for type, many in found.items()))
    else:
        console.print("The rules limit no type of event: write retention_days into a table [events.TYPE] of the rules.")
