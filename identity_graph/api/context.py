"""What every resolver of a request shares."""

from collections.abc import Callable
from dataclasses import dataclass

from identity_graph.api.errors import BadInput, Forbidden
from identity_graph.api.keys import ApiKey, Scope
from identity_graph.api.scalars import microseconds
from identity_graph.domain.rules import Rules
from identity_graph.services.audit import AuditLog
from identity_graph.services.connections import Connections
from identity_graph.services.journey import Journeys
from identity_graph.services.lookup import Freshness, Lookup
from identity_graph.services.profiles import Profiles
from identity_graph.services.proposals import Proposals
from identity_graph.services.scoring import Scoring
from identity_graph.services.search import Search
from identity_graph.services.segments import Segments
from identity_graph.services.stewardship import Stewards
from identity_graph.services.submit import Submitter, now
from identity_graph.store.graph import Graph

#: By how much a client's clock may be ahead of ours, in microseconds.
SKEW = 60_000_000


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases that the API renders, on one graph. ``by`` makes them for other rules; ``close`` writes what still
    waits, and may be called again.
    """

    graph: Graph
    rules: Rules
    submitter: Submitter
    lookup: Lookup
    profiles: Profiles
    journeys: Journeys
    proposals: Proposals
    connections: Connections
    scoring: Scoring
    search: Search
    stewards: Stewards
    segments: Segments
    audit: AuditLog | None
    by: "Callable[[Rules], Services]"
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Context:
    """One request: who asks, and which write it wants to see at least."""

    services: Services
    caller: ApiKey
    token: str | None = None

    def fresh(self, as_of: str | None = None) -> Freshness:
        """What a read is to see. Raises :class:`BadInput` where ``as_of`` is no date, or lies in the future."""
        at = microseconds(as_of, "asOf")
        if at is not None and at > now() + SKEW:
            raise BadInput("asOf lies in the future, of which nothing is known; leave it out to ask of now")
        return Freshness(at, self.token)

    def require(self, scope: Scope) -> None:
        if not self.caller.allows(scope):
            raise Forbidden(f"this needs an API key with the scope {scope}")
