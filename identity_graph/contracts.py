"""Where the Cypher and GraphQL files are: in a wheel inside the package, in a checkout beside it."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def contracts(kind: str) -> Path:
    """The folder of ``"cypher"`` or ``"graphql"`` files."""
    packed = _PACKAGE / "_contracts" / kind
    return packed if packed.is_dir() else _PACKAGE.parent / kind
