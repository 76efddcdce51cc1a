"""The embedded database: provision, start, share, stop, back up and bulk-load a private Neo4j Community server."""

from identity_graph.neo4j_runtime.admin import ImportReport, bulk_import, check, dump, load
from identity_graph.neo4j_runtime.doctor import Finding, diagnose
from identity_graph.neo4j_runtime.failure import RuntimeFailure, from_os_error
from identity_graph.neo4j_runtime.provision import known_versions, resolve_version
from identity_graph.neo4j_runtime.server import Connection, Status, running, start, status, stop

__all__ = [
    "Connection",
    "Finding",
    "ImportReport",
    "RuntimeFailure",
    "Status",
    "bulk_import",
    "check",
    "diagnose",
    "dump",
    "from_os_error",
    "known_versions",
    "load",
    "resolve_version",
    "running",
    "start",
    "status",
    "stop",
]
