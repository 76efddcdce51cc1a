"""`identity-graph verify` on the large graph: the whole partition recomputed from the evidence, and compared."""

from bench import product
from bench.harness import Figure
from bench.run import Run


def measure(run: Run) -> list[Figure]:
    _ = run.service
    run.say("verify")
    verified = product.run("verify", "--data-dir", run.large.data_dir)
    links = verified.printed["counts"]["links"]
    return [
        Figure(f"verify of {links:,} links", verified.seconds, "s", at_most=60),
        Figure("memory beside the database", verified.peak, "MB", at_most=2000),
    ]
