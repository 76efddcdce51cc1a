"""The embedded database: provision, start, share, stop, back up a private Neo4j Community server."""

from identity_graph.neo4j_runtime.failure import RuntimeFailure
from identity_graph.neo4j_runtime.provision import known_versions, resolve_version
from identity_graph.neo4j_runtime.server import Connection, Status, running, start, status, stop

__all__ = [
    "Connection",
    "RuntimeFailure",
    "Status",
    "known_versions",
    "resolve_version",
    "running",
    "start",
    "status",
    "stop",
]
