"""What commands have in common: options, and the settings that follow from them."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from identity_graph.settings import Settings

DataDir = Annotated[
    Path | None, typer.Option(help="Where the embedded database keeps its data.", file_okay=False, show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def settings_of(**given: Any) -> "Settings":
    """The settings of the environment, and of the options that were given."""
    # Not before a command needs it, so that help comes at once.
    from identity_graph.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})


def collect_rarely() -> None:
    """For commands that make millions of short-lived objects and no cycles: to look for these takes a fifth of the time
    of a load, and a third of an export's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
