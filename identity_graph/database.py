"""The database that the settings name: one's own, or the embedded one."""

import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from getpass import getuser

from identity_graph import neo4j_runtime
from identity_graph.neo4j_runtime import Connection
from identity_graph.services.audit import AuditLog
from identity_graph.services.submit import now
from identity_graph.settings import Settings
from identity_graph.store.graph import UNHURRIED, Credentials, Graph


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


@contextmanager
def opened_graph(settings: Settings, command: str, *, progress: bool = True) -> Generator[Graph]:
    """The graph for a command, its schema up to date. Who runs it is written down.

    Raises as :func:`database` does, a :class:`StoreError` and :class:`CannotAudit`.
    """
    with database(settings, progress=progress) as connection, closing(patient(connection)) as graph:
        graph.migrate(now())
        with closing(AuditLog(settings.audit, graph, now)) as log:
            log.tell(operator(), "command", [command], ())
            yield graph


def patient(to: Credentials) -> Graph:
    """A graph that commands use."""
    return Graph.connect(to, patience=UNHURRIED)


def is_alone(settings: Settings) -> bool:
    """Whether nobody else uses the graph yet; of a database of one's own that is not known."""
    return not settings.neo4j_uri and not neo4j_runtime.status(settings.data_dir).in_use


def operator() -> str:
    """Who runs this process, as the machine knows them."""
    try:
        return getuser()
    except (KeyError, OSError):
        # In a container a process may have a number that no account has.
        return f"uid {os.getuid()}"
