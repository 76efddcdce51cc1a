"""SubmitLinks over HTTP: lists of 500 observations, and one observation a request."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.harness import Figure, percentiles
from bench.product import all_accepted, submit_links
from bench.run import CLIENTS, SUBMIT_SEED, Run

A_LIST = 500
#: More than can be written in the time, one a request.
SINGLES_A_SECOND = 5000


def requests(path: Path, size: int) -> Iterator[bytes]:
    """The observations of a file in requests of so many."""
    with path.open("rb") as file:
        while lines := [line.rstrip(b"\n") for line in islice(file, size)]:
            yield submit_links(lines)


def measure(run: Run) -> list[Figure]:
    service, naive, seconds = run.service, run.naive, run.sizes.seconds
    singles = int(SINGLES_A_SECOND * seconds * 1.5)
    warming, batched, single, alone = run.streams(
        SUBMIT_SEED, warming=run.sizes.batched // 2, batched=run.sizes.batched, single=singles, alone=singles
    )
    run.say(f"SubmitLinks, {A_LIST} observations a request")
    service.load(requests(warming, A_LIST), clients=CLIENTS, accept=all_accepted)
    lists = service.load(list(requests(batched, A_LIST)), clients=CLIENTS, accept=all_accepted)
    run.say("SubmitLinks, one observation a request")
    one = requests(single, 1)
    service.load(one, clients=32, seconds=seconds / 2, accept=all_accepted)
    many = service.load(one, clients=32, seconds=seconds, accept=all_accepted)
    one = requests(alone, 1)
    service.load(one, seconds=seconds / 4, accept=all_accepted)
    lone = service.load(one, seconds=seconds, accept=all_accepted)

    in_lists = run.sizes.batched / lists.seconds
    many_times, lone_times = percentiles(many.latencies), percentiles(lone.latencies)
    naive_many, naive_lone = (percentiles(naive.writes[clients].latencies) for clients in (32, 1))
    return [
        Figure(f"{A_LIST} a request", in_lists, "observations/s", at_least=3500, baseline=naive.best),
        Figure("one a request, 32 clients", many.rate, "observations/s", at_least=1000, baseline=naive.writes[32].rate),
        Figure("one a request, 32 clients, p99", many_times.p99, "ms", at_most=100, baseline=naive_many.p99),
        Figure("one client, p50", lone_times.p50, "ms", at_most=8, baseline=naive_lone.p50),
        Figure("one client, p99", lone_times.p99, "ms", at_most=30, baseline=naive_lone.p99),
    ]
