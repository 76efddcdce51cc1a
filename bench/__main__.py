"""Measure the product beside the naive design: `python -m bench [NAME…] [--quick] [--identifiers N] [--profiles N]`."""

import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import orjson
from rich.console import Console
from rich.markdown import Markdown

from bench import ingest, journey, matching, memory, profiles, resolve, stewards, submit, verify
from bench.harness import Figure, table, write_results
from bench.product import BenchFailed
from bench.run import FULL, Run, Sizes, sizes

RESULTS = Path(__file__).with_name("results")

#: In the order in which they run and are shown.
BENCHMARKS: dict[str, tuple[str, Callable[[Run], list[Figure]]]] = {
    "ingest": ("Files into the graph: `identity-graph ingest`", ingest.measure),
    "verify": ("The graph against its evidence: `identity-graph verify`", verify.measure),
    "submit": ("SubmitLinks by GraphQL", submit.measure),
    "resolve": ("Look-ups", resolve.measure),
    "journey": ("Events and journeys", journey.measure),
    "stewards": ("What stewards ask and do", stewards.measure),
    "matching": ("Records matched as they arrive", matching.measure),
    "profiles": ("Golden records, segments and exports", profiles.measure),
    "memory": ("The service's memory beside the database", memory.measure),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; 0 if every figure holds, 1 if one does not or something failed."""
    parser = ArgumentParser(prog="python -m bench", description="Measure speed and memory beside the naive design.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHMARKS)}; else all")
    parser.add_argument(
        "--quick", action="store_true", help="see in two minutes that everything runs; the figures mean nothing"
    )
    parser.add_argument("--identifiers", type=int, help=f"size of the large graph (default {FULL.identifiers:,})")
    parser.add_argument(
        "--profiles", type=int, help=f"people of the graph of whole profiles (default {FULL.profiles:,})"
    )
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(BENCHMARKS):
        parser.error(f"{min(unknown)} is none of {', '.join(BENCHMARKS)}")
    if chosen.identifiers is not None and chosen.identifiers < 1000:
        parser.error("--identifiers must be at least 1000")
    if chosen.profiles is not None and chosen.profiles < 1000:
        parser.error("--profiles must be at least 1000")
    names = [name for name in BENCHMARKS if not chosen.names or name in chosen.names]
    size = sizes(quick=chosen.quick, identifiers=chosen.identifiers, profiles=chosen.profiles)
    # Only what was measured in full may stand for the product.
    out = RESULTS if size == FULL else Path(tempfile.mkdtemp(prefix="identity-graph-bench-results-"))
    signal.signal(signal.SIGTERM, _end)
    width = None if sys.stderr.isatty() else 120
    console = Console(stderr=True, soft_wrap=True, highlight=False, width=width)
    try:
        hold = measure(names, size, out, console)
    except BenchFailed as e:
        console.print(f"[bold red]error:[/bold red] {e}", markup=True)
        return 1
    (out / "README.md").write_text(summary(out), encoding="utf-8")
    console.print(f"results: {out}")
    return 0 if hold or chosen.quick else 1


def _end(_number: int, _frame: object) -> None:
    """Leave by an exception, so that what the run has started ends with it."""
    sys.exit(143)


def measure(names: Sequence[str], size: Sizes, out: Path, console: Console) -> bool:
    """Run these benchmarks and write the results of each. True if all figures hold."""
    begun = perf_counter()

    def say(what: str) -> None:
        console.print(f"[dim]{perf_counter() - begun:6.0f} s[/dim]  {what}")

    out.mkdir(parents=True, exist_ok=True)
    hold = True
    with (
        tempfile.TemporaryDirectory(prefix="identity-graph-bench-") as folder,
        Run(Path(folder), out, size, say) as run,
    ):
        for name in names:
            title, benchmark = BENCHMARKS[name]
            figures = benchmark(run)
            console.print(Markdown(f"## {title}\n\n{table(figures, {})}"))
            hold &= write_results(out, name, figures, run.facts)
    return hold


def summary(out: Path) -> str:
    """One page of everything in a folder of results, whichever run it is from."""
    parts = [
        "# Results\n\n"
        "Measured by `make bench`; [what each row means](../README.md). *Must* is what the product promises of itself. "
        "The naive design is measured in the same run on the same server.\n"
    ]
    for name, (title, _) in BENCHMARKS.items():
        if not (out / f"{name}.json").exists():
            continue
        found = orjson.loads((out / f"{name}.json").read_bytes())
        figures = [Figure(**{key: value for key, value in f.items() if key != "holds"}) for f in found["figures"]]
        chart = f"\n![{title}]({name}.svg)\n" if (out / f"{name}.svg").exists() else ""
        parts.append(f"## {title}\n\n{table(figures, found['facts'])}{chart}")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
