"""`identity-graph demo`: load data, show what comes of it, and serve it."""

import os
import signal
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Event
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from identity_graph.database import opened_graph
from identity_graph.demo import STORY, showing, tour
from identity_graph.demo.loading import SUFFIXES, File, linked, load, own, shipped
from identity_graph.demo.service import Client, serving
from identity_graph.domain.rules import Rules
from identity_graph.neo4j_runtime import RuntimeFailure, status
from identity_graph.neo4j_runtime.server import stopped
from identity_graph.services.active_rules import active_rules
from identity_graph.services.rules_file import load_rules
from identity_graph.services.submit import now
from identity_graph.settings import Settings, default_data_dir

INTERRUPTED = 130


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder with your own CSV, Parquet and JSON Lines files.",
            exists=True,
            file_okay=False,
            show_default="invented customers",
        ),
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="End after showing, instead of serving.")] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the embedded database keeps its data.", file_okay=False, show_default=".demo"),
    ] = None,
) -> None:
    """Load data, show what comes of it, and serve it until Ctrl-C.

    A file of one's own may have a mapping NAME.yaml beside it; else its columns are recognised by their names.

    Example: identity-graph demo --data exports
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A database that lives for minutes spends half of them on Java's optimising compiler: 210 s against 114 s in all.
    os.environ.setdefault("IDENTITY_GRAPH_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    files = own(data) if data else []
    if data and not files:
        raise typer.BadParameter(f"{data} holds no file that ends in {', '.join(SUFFIXES)}", param_hint="--data")
    settings = Settings(data_dir=data_dir or _home(data))
    out = showing.console()
    try:
        _run(settings, files, out, leave)
    except KeyboardInterrupt:
        out.print("\nStopped. The same command goes on where it was.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        _end_database(settings)


def _run(settings: Settings, files: list[File], out: Console, leave: bool) -> None:
    """Show ``files``, or the shipped data where there are none."""
    story = orjson.loads(STORY.read_bytes())
    sources = settings.data_dir / "sources"
    # The shipped story is told by the built-in rules.
    wanted = Rules() if not files else load_rules(settings.rules) if settings.rules else None
    with opened_graph(settings, "demo") as graph:
        rules = active_rules(graph, wanted, now())
        with serving(graph, rules, settings.port, settings.models) as ready:
            placed = (
                linked(files, sources) if files else shipped(sources, story["many_identifiers"]["joining_observation"])
            )
            done = load(graph, placed, rules)
            guide = tour.Tour(out, Client(ready()), graph, rules, done)
            if files:
                tour.look(guide, settings.data_dir)
            else:
                tour.tell(guide, story, settings.models)
            if not leave:
                with suppress(KeyboardInterrupt):
                    place = escape(showing.near(settings.data_dir))
                    out.print(f"It answers until you press Ctrl-C. To start over, delete {place}")
                    Event().wait()


def _home(data: Path | None) -> Path:
    """A folder for the database of this data: here, or among the user's data where nothing can be written here."""
    here = Path.cwd()
    base = here / ".demo" if os.access(here, os.W_OK) else default_data_dir().with_name("identity-graph-demo")
    if data is None:
        return base / "retailer"
    digest = blake2b(os.fsencode(data.resolve()), digest_size=4).hexdigest()
    return base / f"{data.resolve().name}-{digest}"


def _end_database(settings: Settings) -> None:
    """Wait until the embedded database has ended, unless others use it too or it is to stay."""
    if settings.neo4j_uri or not (now_running := status(settings.data_dir)).running or now_running.keep:
        return
    with suppress(RuntimeFailure), stopped(settings.data_dir, progress=False):
        pass
