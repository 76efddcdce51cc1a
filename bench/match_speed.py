"""How long matching takes: `python -m bench.match_speed [RECORDS]`, by default 1,000,000.

Trains on made people, predicts and clusters, and times the compiled scorer (`candidates` are numbers, not times). Goals
on two cores: a million records train in 25 s, predict and cluster in 10 s, in 3 GB; one record scores against its
candidates in 100 µs at the 99th percentile.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson

from bench import people
from matching import evaluate, pipeline
from matching.batch import RECORDS

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


def _scorer(outcome: pipeline.Outcome, records: int = 1_000) -> dict[str, float]:
    """Microseconds for a record with its candidates, explained where one is worth a review, and for each of them."""
    con, rules = outcome.prepared.con, outcome.model.settings["blocking_rules_to_generate_predictions"]
    asked = f"(SELECT * FROM {RECORDS} USING SAMPLE {records} ROWS (reservoir, 1))"
    parts = [
        f"SELECT l.rid AS a, r.rid AS b FROM {asked} l JOIN {RECORDS} r ON {rule['blocking_rule']} WHERE l.rid <> r.rid"
        for rule in rules
    ]
    found = con.execute(f"SELECT a, list(b) FROM ({' UNION '.join(parts)}) GROUP BY a").fetchall()
    weigher = pipeline.Weigher(con, outcome.model)
    weigher.load_pairs((a, b) for a, candidates in found for b in candidates)
    review, score_from = outcome.model.thresholds.review, weigher.scorer.score_from
    known = {rid: orjson.dumps(record) for rid, record in weigher.records.items()}
    pair: list[float] = []
    record: list[float] = []
    for a, candidates in found:
        # As the service has them: the text that the graph keeps of each, read a moment ago.
        asked, others = orjson.loads(known[a]), [orjson.loads(known[b]) for b in candidates]
        started = time.perf_counter()
        for other in others:
            score_from(review, asked, other)
        record.append((time.perf_counter() - started) * 1e6)
        pair.append(record[-1] / len(others))
    times = {"pair": pair, "record": record, "candidates": [float(len(c)) for _, c in found]}
    return {f"{what}_p{q}": round(float(np.percentile(taken, q)), 1) for what, taken in times.items() for q in (50, 99)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
