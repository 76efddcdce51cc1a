"""`identity-graph ingest`, the whole process: from cold, warm, into nothing, into a large graph."""

from bench import product
from bench.harness import Figure
from bench.run import SMALL_SEED, Run

#: Observations that make a graph non-empty, so that the next ones are streamed.
A_FEW = 100


def measure(run: Run) -> list[Figure]:
    cold_rows, rows = run.sizes.cold, run.sizes.warm
    small = run.folder / "small"
    first, cold, warm = run.streams(SMALL_SEED, few=A_FEW, cold=cold_rows, warm=rows)
    product.ingest(first, A_FEW, small)
    run.say(f"ingest of {cold_rows:,} observations, the database starting with it")
    # Joined once it runs, so that it is still there, and warm, when the command has ended.
    with (
        product.started("ingest", cold, "--data-dir", small) as command,
        product.joined(small, command) as connection,
    ):
        from_cold = product.checked(command.finish(), cold_rows)
        run.say(f"ingest of {rows:,} more, warm")
        once_warm = product.ingest(warm, rows, small)
        naive = run.naive_at(connection)
    run.say(f"ingest of {cold_rows:,} observations, into nothing")
    from_nothing = product.ingest(cold, cold_rows, run.folder / "nothing")
    large = run.large
    run.say(f"ingest of {rows:,} more into the large graph, warm")
    _ = run.service
    at_large = product.ingest(large.warm, rows, large.data_dir)

    alone = naive.writes[1].rate
    known = f"{run.sizes.identifiers:,} identifiers"
    unit = "observations/s"
    return [
        Figure("warm", rows / once_warm.seconds, unit, at_least=5000, baseline=naive.best),
        Figure(f"warm, at {known}", rows / at_large.seconds, unit, at_least=4000, baseline=naive.best),
        Figure(
            f"from a cold start, {cold_rows:,} observations",
            cold_rows / from_cold.seconds,
            unit,
            at_least=4000,
            baseline=naive.best,
        ),
        Figure(
            f"from a cold start into an empty graph, {cold_rows:,} observations",
            cold_rows / from_nothing.seconds,
            unit,
            baseline=naive.best,
        ),
        Figure("warm, against the naive design, one client", rows / once_warm.seconds / alone, "×", at_least=8),
        Figure("warm, against the naive design, its fastest", rows / once_warm.seconds / naive.best, "×"),
        Figure(f"first load of {known}", large.loaded.seconds, "s", at_most=90),
        Figure("first load, as a rate", large.rows / large.loaded.seconds, unit, baseline=naive.best),
        Figure("memory beside the database, from cold", from_cold.peak, "MB"),
        Figure("memory beside the database, first load", large.loaded.peak, "MB"),
    ]
