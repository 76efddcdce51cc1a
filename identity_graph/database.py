"""The database that the settings name: one's own, or the embedded one."""

from collections.abc import Generator
from contextlib import contextmanager

from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection
from identity_graph.settings import Settings


@contextmanager
def database(settings: Settings, *, progress: bool = True) -> Generator[Connection]:
    """A connection for as long as the block lasts. The embedded server is started, or joined where it runs.

    Raises :class:`~identity_graph.neo4j_runtime.RuntimeFailure`.
    """
    if settings.neo4j_uri:
        yield Connection(settings.neo4j_uri, settings.neo4j_user, settings.neo4j_password.get_secret_value())
        return
    with neo4j_runtime.running(
        settings.data_dir, heap_mb=settings.heap_mb, page_cache_mb=settings.page_cache_mb, progress=progress
    ) as connection:
        yield connection
