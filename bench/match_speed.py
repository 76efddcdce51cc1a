"""How long matching takes: `python -m bench.match_speed [RECORDS]`, by default 1,000,000.

Trains on made people, predicts and clusters, and times the compiled scorer. Goals on two cores: a million records
train in 25 s, predict and cluster in 10 s, in 3 GB; one pair scores in 100 µs at the 99th percentile.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import people
from matching import evaluate, pipeline

RESULT = Path(__file__).parent / "results" / "match_speed.json"


def main(records: int) -> None:
    """Measure, print and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        truth = people.write(path, records)
        con = pipeline.connect(memory_gb=1.5, threads=2)
        times: dict[str, float] = {}

        def timed(name: str, started: float) -> None:
            times[name] = round(time.perf_counter() - started, 1)

        started = time.perf_counter()
        prepared = pipeline.prepare(con, [path])
        timed("read and normalise", started)
        started = time.perf_counter()
        model = pipeline.fit(prepared)
        timed("train", started)
        started = time.perf_counter()
        outcome = pipeline.apply(prepared, model)
        timed("predict and cluster", started)
        clusters = dict(zip(outcome.record_ids, outcome.cluster_ids, strict=True))
        result = {
            "records": records,
            "pairs": model.report["pairs_compared"],
            "seconds": times,
            "steps": {k: round(v, 1) for k, v in prepared.seconds.items()},
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
            "scorer_us": _scorer(outcome),
            "pairwise_f1": round(evaluate.pairwise(clusters, truth).f1, 4),
        }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _scorer(outcome: pipeline.Outcome, pairs: int = 20_000) -> dict[str, float]:
    """Microseconds for one pair, with its explanation."""
    weigher = pipeline.Weigher(outcome.prepared.con, outcome.model)
    found = outcome.prepared.con.execute(f"SELECT rid_l, rid_r FROM edges USING SAMPLE {pairs} ROWS").fetchall()
    weigher.load_pairs(found)
    taken: list[float] = []
    for i, j in found:
        started = time.perf_counter()
        weigher.explain(i, j)
        taken.append((time.perf_counter() - started) * 1e6)
    return {f"p{q}": round(float(np.percentile(taken, q)), 1) for q in (50, 99)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
