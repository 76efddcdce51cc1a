"""Records matched as they arrive: by a model of the graph's own, one a request and in files."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice, pairwise

import orjson

from bench import product
from bench.harness import Figure
from bench.people import Person, people
from bench.product import BenchFailed, Service, all_accepted, resolve_http, submit_links
from bench.run import Run
from bench.streams import Key, Observation, write_jsonl

#: People that are looked at for whether matching joined their records.
LOOKED_AT = 400
#: What matching must join of them, or there is nothing to measure.
JOINED = 0.5


def measure(run: Run) -> list[Figure]:
    many, more = run.sizes.records, run.sizes.matched
    data_dir, first = run.folder / "matching", run.folder / "records.jsonl"
    warming, file = run.folder / "warming-records.jsonl", run.folder / "more-records.jsonl"
    made = people(3 * many)
    run.say(f"loading {many:,} records into an empty graph")
    write_jsonl(first, map(_row, islice(made, many)))
    product.ingest(first, many, data_dir)
    with ExitStack() as stack:
        # Train and activate as beside a service: the database starts once for all of them.
        stack.enter_context(product.joined(data_dir))
        run.say("training a model on them, and letting it match")
        trained = product.run("match", "train", "--from-graph", "--data-dir", data_dir)
        version = trained.printed["version"]
        activated = product.run("match", "activate", version, "--yes", "--data-dir", data_dir)
        service = stack.enter_context(run.serving(data_dir, f"{many:,} records after the first load, matched"))
        run.say(f"ingest of {more:,} records beside the service, twice")
        write_jsonl(warming, map(_row, islice(made, more)))
        product.ingest(warming, more, data_dir)
        arriving = list(islice(made, more))
        write_jsonl(file, map(_row, arriving))
        ingested = product.ingest(file, more, data_dir)
        run.say("one record a request")
        requests = (submit_links([orjson.dumps(_row(person))]) for person in made)
        times = run.times(service, requests, all_accepted)
        _expect_matches(service, arriving)
    known = f"{many:,} records"
    return [
        Figure(f"`match train` on {known}", trained.seconds, "s"),
        Figure(f"`match activate` over {known}", activated.seconds, "s"),
        Figure(f"a new record against {known}, one client, p50", times.p50, "ms", at_most=15),
        Figure(f"a new record against {known}, one client, p99", times.p99, "ms", at_most=60),
        Figure("ingest of records that are matched, warm", more / ingested.seconds, "records/s", at_least=500),
    ]


def _row(person: Person) -> Observation:
    """A record of a card that nobody else has, so that only matching can join it to another."""
    return {
        "id": person.record_id,
        "source": "shop",
        "observedAt": "2026-01-01T00:00:00Z",
        "recordId": person.record_id,
        "identifiers": [_card(person)],
        "traits": {name: value for name, value in person.values.items() if value},
    }


def _card(person: Person) -> Key:
    return {"namespace": "loyalty_id", "value": person.record_id}


def _expect_matches(service: Service, arrived: Sequence[Person]) -> None:
    """Raises BenchFailed unless records of one person are in one profile."""
    cards = [(_card(one), _card(other)) for one, other in islice(_of_one(arrived), LOOKED_AT)]
    profiles: list[str] = []

    def accept(status: int, body: bytes) -> bool:
        profiles.extend(answer["profileId"] for answer in orjson.loads(body)["results"])
        return status == 200

    service.load([resolve_http([*pair]) for pair in cards], accept=accept)
    joined = sum(one == other for one, other in zip(profiles[::2], profiles[1::2], strict=True))
    if joined < JOINED * len(cards):
        raise BenchFailed(f"of {len(cards)} people with two records, matching joined those of {joined}")


def _of_one(arrived: Sequence[Person]) -> Iterator[tuple[Person, Person]]:
    return ((one, other) for one, other in pairwise(arrived) if one.entity == other.entity)
