"""Runs one other library on one task; started by bench/accuracy.py in that library's own environment."""

import itertools
import json
import random
import resource
import sys

import pandas as pd


def recordlinkage(records: "pd.DataFrame", task: dict) -> list[tuple[str, str]]:
    """Exact blocking, string similarities, and the unsupervised ECM classifier."""
    import recordlinkage as rl

    first, last = task["names"]
    index = rl.Index()
    for rule in ([first, last], [task["born"], last], [task["born"], first], [task["others"][0]]):
        index.block(rule)
    pairs = index.index(records)
    compare = rl.Compare()
    for column in (first, last, *task["others"]):
        compare.string(column, column, method="jarowinkler", threshold=0.88, label=column)
    compare.string(task["born"], task["born"], method="levenshtein", threshold=0.85, label=task["born"])
    vectors = compare.compute(pairs, records).fillna(0).astype(int)
    return list(rl.ECMClassifier().fit_predict(vectors))


def dedupe(records: "pd.DataFrame", task: dict) -> list[tuple[str, str]]:
    """Trained on the true answers for a sample of pairs."""
    import dedupe as dd
    from dedupe import variables

    columns = [*task["names"], task["born"], *task["others"]]
    data = {
        str(i): {c: (row[c] if isinstance(row[c], str) else None) for c in columns} for i, row in records.iterrows()
    }
    model = dd.Dedupe([variables.String(c, has_missing=True) for c in columns], num_cores=2)
    rng, truth = random.Random(1), task["truth"]
    groups: dict[str, list[str]] = {}
    for key in data:
        groups.setdefault(truth[key], []).append(key)
    match = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    match = rng.sample(match, min(len(match), 300))
    keys = list(data)
    distinct = [p for p in (rng.sample(keys, 2) for _ in range(900)) if truth[p[0]] != truth[p[1]]]
    model.prepare_training(data, sample_size=2000)
    model.mark_pairs({
        "match": [(data[a], data[b]) for a, b in match],
        "distinct": [(data[a], data[b]) for a, b in distinct],
    })  # fmt: skip
    model.train(index_predicates=False)
    return [(cluster[0], other) for cluster, _ in model.partition(data, 0.5) for other in cluster[1:]]


if __name__ == "__main__":
    tool, path, gigabytes = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes) * 2**30,) * 2)
    with open(path, encoding="utf-8") as file:
        task = json.load(file)
    records = pd.read_csv(task["records"], dtype=str).set_index(task["id"])
    edges = {"recordlinkage": recordlinkage, "dedupe": dedupe}[tool](records, task)
    with open(task["out"], "w", encoding="utf-8") as file:
        json.dump([[str(a), str(b)] for a, b in edges], file)
