"""The service's memory while it is fed observations by SubmitLinks, and since its start."""

from collections.abc import Sequence
from statistics import median

from bench.harness import Figure, line_chart
from bench.product import all_accepted
from bench.run import CLIENTS, MEMORY_SEED, Run
from bench.submit import A_LIST, requests

#: What counts as flat: a tenth of what the service may have.
FLAT_MB = 30


def measure(run: Run) -> list[Figure]:
    service, fed = run.service, run.sizes.fed
    (path,) = run.streams(MEMORY_SEED, fed=fed)
    run.say(f"feeding {fed:,} observations to the service")
    before = len(service.memory.samples)
    load = service.load(requests(path, A_LIST), clients=CLIENTS, accept=all_accepted)
    seen = service.memory.samples[before:]
    line_chart(
        run.out / "memory.svg",
        f"The service while it takes {fed:,} observations",
        "seconds",
        "MB beside the database",
        {"service": [(at - seen[0][0], mb) for at, mb in seen]},
    )
    return [
        Figure("the most since its start", service.memory.peak, "MB", at_most=300),
        Figure(f"growth over {fed:,} observations", growth([mb for _, mb in seen]), "MB", at_most=FLAT_MB),
        Figure("observations while it was fed", fed / load.seconds, "observations/s"),
    ]


def growth(mb: Sequence[float]) -> float:
    """From the median of the second tenth, when caches have filled, to that of the last tenth."""
    tenth = len(mb) // 10
    return median(mb[-tenth - 1 :]) - median(mb[tenth : 2 * tenth + 1])
