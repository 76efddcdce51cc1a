"""The service in a thread of this process, and a client that asks it over HTTP as any other would."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from identity_graph.app import CannotServe, address, bound, composed, create_app, web_server
from identity_graph.contracts import contracts
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.rules import Rules
from identity_graph.store.graph import Graph

HOST = "127.0.0.1"
#: A database that has just started plans each statement for the first time, which may take longer than a read may.
ATTEMPTS = 20

Json = dict[str, Any]


@contextmanager
def serving(graph: Graph, rules: Rules, port: int, models: Path) -> Generator[Callable[[], str]]:
    """Serve this machine for as long as the block lasts, on a free port where the wanted one is taken.

    Records are matched by the active one of ``models``. What is yielded waits until requests are answered and returns
    the address. It raises what kept the service from starting.
    """
    try:
        listening = bound(HOST, port)
    except CannotServe:
        listening = bound(HOST, 0)
    settled = threading.Event()
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        settled.set()

    def wait() -> str:
        settled.wait()
        if failures:
            raise failures[0]
        return address(listening)

    with closing(listening):
        server = web_server(create_app((), lambda: composed(graph, rules, models), settled.set, failed))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="service")
        thread.start()
        try:
            yield wait
        finally:
            server.should_exit = True
            thread.join()


class Key(NamedTuple):
    """An identifier as GraphQL takes it."""

    namespace: str
    value: str

    @classmethod
    def of(cls, key: str) -> "Key":
        return cls(*split_key(key))

    def __str__(self) -> str:
        return f"{self.namespace}:{self.value}"


class Record(NamedTuple):
    """A record as GraphQL takes it."""

    source: str
    recordId: str


class Client:
    """Sends the operations of `graphql/operations`. ``seconds`` is what the last answer took."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seconds = 0.0
        self._http = requests.Session()
        # A proxy that the environment names is for other machines.
        self._http.trust_env = False

    def ask(self, operation: str, **variables: Any) -> Json:
        """The data of an operation. Raises :class:`CannotServe` where it is not answered."""
        query = (contracts("graphql") / "operations" / f"{operation}.graphql").read_text("utf-8")
        body: Json = {}
        for _ in range(ATTEMPTS):
            begun = time.monotonic()
            answer = self._http.post(f"{self.address}/graphql", json={"query": query, "variables": variables})
            self.seconds = time.monotonic() - begun
            body = answer.json()
            if "errors" not in body:
                return body["data"]
            if not body["errors"][0]["extensions"]["retryable"]:
                break
            time.sleep(0.2)
        raise CannotServe(f"{operation} was not answered: {body['errors'][0]['message']}")

    def person(self, key: Key, as_of: str | None = None) -> Json:
        """The whole profile that holds an identifier, now or at a moment of the past."""
        found = self.ask("Customer360", identifier=key._asdict(), asOf=as_of)["profileByIdentifier"]
        if found is None:
            raise CannotServe(f"nobody has {key}: the data was changed since it was loaded; start over with new data")
        return found

    def statuses(self, keys: list[Key]) -> list[Json]:
        """What Resolve says of identifiers, in their order."""
        return self.ask("Resolve", identifiers=[key._asdict() for key in keys])["resolve"]

    def lineage(self, profile: Json, first: int) -> Json:
        """The newest changes of a profile, and their total number."""
        return self.ask("MergeLineage", profileId=profile["id"], first=first)["profile"]["lineage"]

    def explained(self, one: Key, other: Key) -> Json:
        """Why two identifiers are one person's, or why not."""
        return self.ask("ExplainConnection", **{"from": one._asdict(), "to": other._asdict()})["explainConnection"]

    def scored(self, one: Record, other: Record) -> Json:
        """What the model says of two records."""
        return self.ask("ScoreRecords", a=one._asdict(), b=other._asdict())["scoreRecords"]

    def proposals(self) -> Iterator[Json]:
        """What the model proposes, the surest first."""
        after = None
        while True:
            page = self.ask("Proposals", first=50, after=after)["proposals"]
            yield from (edge["node"] for edge in page["edges"])
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return

    def devices(self, device: Key) -> list[Json]:
        """The other devices of the person behind one, the last seen first."""
        return self.ask("CrossDevice", device=device._asdict())["crossDevice"]["devices"]

    def journey(self, profile: str, first: int) -> Json:
        """The newest events of a profile, and what all of them add up to."""
        return self.ask("Journey", profileId=profile, first=first)["profile"]

    def segment(self, definition: Json) -> Json:
        """The segment that has this definition, made where there is none. Raises :class:`CannotServe` otherwise."""
        outcome = self.ask("DefineSegment", input=definition)["defineSegment"]["outcome"]
        if outcome["__typename"] != "SegmentDefined":
            raise CannotServe(f"the segment {definition['name']} was not defined: {outcome['message']}")
        return outcome["segment"]

    def membership(self, segment: str, profile: str) -> Json:
        """Whether a profile is in a segment, condition by condition."""
        return self.ask("ExplainMembership", segment=segment, profileId=profile)["explainMembership"]

    def submit(self, observation: Json) -> Json:
        """The result of one observation. Raises :class:`CannotServe` where it is not taken."""
        (result,) = self.ask("SubmitLinks", input={"observations": [observation]})["submitLinks"]["results"]
        if result["__typename"] != "ObservationAccepted":
            raise CannotServe(f"the observation {observation['id']} was not taken: {result['message']}")
        return result
