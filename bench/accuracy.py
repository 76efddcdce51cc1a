"""How right matching is on labelled data, beside plain Splink and other libraries: `make bench-accuracy`.

Reads the labelled sets from `../shared/data` (or the folder that the first argument names), and makes one of a
retailer's customers. Every tool is run unsupervised and as it comes:

- ours: `identity-graph match run`'s pipeline, with no mapping and no setting
- Splink 5: its demo's own comparisons and blocking, clusters at p ≥ 0.95
- recordlinkage: exact blocking on name or date, string similarities, ECM classifier, connected components
- dedupe: needs a person's labels, so it is trained on the true answers of a sample (which favours it)

recordlinkage and dedupe live in an environment of their own, made for the run and thrown away, and have PEER_SECONDS
and PEER_GB for each set. The tables go to bench/results/accuracy.md: the second one shows what ours would have reached
with the best threshold, which nobody without labels can know, and its largest cluster beside the largest true one.
"""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import numpy as np
import splink.comparison_library as cl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from bench import customers
from matching import evaluate, pipeline
from matching.cluster import cluster

RESULT = Path(__file__).parent / "results" / "accuracy.md"
PEER_SECONDS = (
    120  # ten times what ours takes for the slowest set; dedupe would need 312 on the 5,000 records of febrl3
)
PEER_GB = 8
MANY = 20_000  # records; above, the demo blocks on two columns at a time
STEPS = (-6, -4, -3, -2, -1, 1, 2, 3, 4, 6, 8)  # bits beside the shipped threshold that are tried
PEERS = {"recordlinkage": ["recordlinkage", "pandas<3"], "dedupe": ["dedupe", "pandas<3", "BTrees<6"]}


@dataclass(frozen=True)
class Labelled:
    """A data set: files, each record's entity, and how plain tools are to use its columns."""

    name: str
    files: list[Path]
    truth: dict[str, str]
    id: str
    names: tuple[str, str]
    born: str
    others: tuple[str, ...]


def sets(folder: Path, made: Path) -> Iterator[Labelled]:
    """The labelled sets in `folder`, and a retailer's customers, which are written into `made`."""
    path = made / "retailer.csv"
    yield Labelled("retailer", [path], customers.write(path), "id", ("first_name", "last_name"), "dob",
                   ("email", "postcode"))  # fmt: skip
    febrl = ("soc_sec_id", "postcode", "address_1")
    for name, files in (("febrl3", ["dataset3"]), ("febrl4", ["dataset4a", "dataset4b"])):
        paths = [folder / "febrl" / f"{f}.csv" for f in files]
        truth = {key: key.split("-")[1] for path in paths for key in _column(path, "rec_id")}
        yield Labelled(name, paths, truth, "rec_id", ("given_name", "surname"), "date_of_birth", febrl)
    path = folder / "splink_fake_1000" / "fake_1000.csv"
    yield Labelled("splink_fake_1000", [path], _truth(path, "unique_id", "cluster"), "unique_id",
                   ("first_name", "surname"), "dob", ("email", "city"))  # fmt: skip
    path = next((folder / "splink_historical_50k").glob("*.parquet"))
    yield Labelled("splink_historical_50k", [path], _truth(path, "unique_id", "cluster"), "unique_id",
                   ("first_name", "surname"), "dob", ("postcode_fake", "birth_place", "occupation"))  # fmt: skip
    path = folder / "rldata" / "RLdata10000.csv"
    yield Labelled("rldata10000", [path], _truth(path, "rec_id", "ent_id"), "rec_id", ("fname_c1", "lname_c1"), "by",
                   ("bm", "bd"))  # fmt: skip
    lists = [folder / "senzing_truthset" / f"{name}.csv" for name in ("customers", "reference", "watchlist")]
    key = folder / "senzing_truthset" / "actual_truthset_key.csv"
    yield Labelled("senzing_truthset", lists, _truth(key, "RECORD_ID", "CLUSTER_ID"), "RECORD_ID",
                   ("PRIMARY_NAME_FIRST", "PRIMARY_NAME_LAST"), "DATE_OF_BIRTH",
                   ("EMAIL_ADDRESS", "PHONE_NUMBER"))  # fmt: skip


def _column(path: Path, name: str) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        at = [c.strip() for c in next(reader)].index(name)
        return [row[at].strip() for row in reader]


def _truth(path: Path, key: str, entity: str) -> dict[str, str]:
    rows = duckdb.sql(f"SELECT {key}, {entity} FROM '{path}'").fetchall()
    return {str(k): str(e) for k, e in rows}


Clusters = dict[str, str]


@dataclass
class Ours:
    """As the command line does it; `thresholds` are rows of the second table."""

    thresholds: list[str]

    def __call__(self, data: Labelled) -> Clusters:
        self.outcome = pipeline.run(data.files)
        return dict(zip(self.outcome.record_ids, self.outcome.cluster_ids, strict=True))

    def beside(self, data: Labelled) -> None:
        """Cluster again at other thresholds."""
        outcome, chosen = self.outcome, self.outcome.model.thresholds
        weigher = pipeline.Weigher(outcome.prepared.con, outcome.model)

        def f1(threshold: float) -> float:
            found = cluster(
                outcome.left, outcome.right, outcome.weights, len(outcome.record_ids), threshold, chosen.linkage,
                weigher, outcome.exclusive,
            )  # fmt: skip
            labels = dict(zip(outcome.record_ids, found.label.tolist(), strict=True))
            return evaluate.pairwise(labels, data.truth).f1

        shipped = f1(chosen.auto)
        best, at = max((f1(chosen.auto + step), chosen.auto + step) for step in STEPS)
        best, at = max((best, at), (shipped, chosen.auto))
        largest = max(Counter(outcome.cluster_ids).values())
        truly = max(Counter(data.truth.values()).values())
        self.thresholds.append(
            f"| {data.name} | {chosen.auto:.1f} | {shipped:.4f} | {best:.4f} | {at:.1f} | {largest} | {truly} |"
        )


def plain_splink(data: Labelled) -> Clusters:
    """Splink as its demos use it."""
    con = pipeline.connect()
    table, _ = _table(con, data)
    first, last = data.names
    db = DuckDBAPI(con)
    comparisons = [
        cl.NameComparison(first), cl.NameComparison(last), cl.LevenshteinAtThresholds(data.born, 1),
        *(cl.ExactMatch(c).configure(term_frequency_adjustments=True) for c in data.others),
    ]  # fmt: skip
    columns = (first, last, data.born, *data.others[:2])
    exact = [block_on(first, last), block_on(data.born, last)]
    pairs = [block_on(*two) for two in itertools.combinations(columns, 2)]
    rules = pairs if len(data.truth) > MANY else [block_on(column) for column in columns[:-1]]
    linker = Linker(
        db.register(table, dataset_display_name="records"),
        SettingsCreator(link_type="dedupe_only", unique_id_column_name=data.id, comparisons=comparisons,
                        blocking_rules_to_generate_predictions=[*rules]),
        log_level=None,
    )  # fmt: skip
    linker.training.estimate_probability_two_random_records_match([*exact], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in (block_on(first, last), block_on(data.born)):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    found = linker.inference.predict(threshold_match_probability=0.95)
    edges = con.execute(f"SELECT {data.id}_l, {data.id}_r FROM {found.physical_name}").fetchall()
    return _components(list(data.truth), [(str(a), str(b)) for a, b in edges])


def _table(con: duckdb.DuckDBPyConnection, data: Labelled) -> tuple[str, list[str]]:
    """The records as text in table `records`, with empty values and NA as null."""
    from matching.batch import read_raw

    columns = read_raw(con, data.files)
    kept = [data.id, *data.names, data.born, *data.others]
    chosen = ", ".join(
        f"nullif(nullif(lower(trim(\"{c}\")), ''), 'na') AS {c}" if c != data.id else f'trim("{c}") AS {c}'
        for c in kept
    )
    con.execute(f"CREATE OR REPLACE TABLE plain AS SELECT {chosen} FROM raw")
    return "plain", columns


def _components(records: list[str], edges: list[tuple[str, str]]) -> Clusters:
    at = {record: i for i, record in enumerate(records)}
    left, right = [at[a] for a, _ in edges if a in at], [at[b] for _, b in edges if b in at]
    matrix = coo_matrix((np.ones(len(left)), (left, right)), shape=(len(records), len(records)))
    return {r: str(c) for r, c in zip(records, connected_components(matrix, directed=False)[1], strict=True)}


def peer(tool: str, python: Path, folder: Path, data: Labelled) -> Clusters:
    """recordlinkage or dedupe, in their environment. Raises TimeoutExpired or CalledProcessError."""
    con = pipeline.connect()
    table, _ = _table(con, data)
    con.execute(f"COPY {table} TO '{folder / 'in.csv'}' (HEADER)")
    task = {
        "records": str(folder / "in.csv"), "out": str(folder / "out.json"), "id": data.id, "names": data.names,
        "born": data.born, "others": data.others, "truth": data.truth,
    }  # fmt: skip
    (folder / "task.json").write_text(json.dumps(task))
    script = Path(__file__).with_name("accuracy_peers.py")
    command = [python, script, tool, folder / "task.json", str(PEER_GB)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            code = process.wait(PEER_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # with the workers that it has started
    if code:
        raise subprocess.CalledProcessError(code, tool)
    edges = json.loads((folder / "out.json").read_text())
    return _components(list(data.truth), [(a, b) for a, b in edges])


def _measure(name: str, run: Callable[[Labelled], Clusters], data: Labelled) -> str:
    started = time.perf_counter()
    try:
        clusters = run(data)
    except subprocess.TimeoutExpired:
        return f"| {data.name} | {name} | not finished in {PEER_SECONDS} s | | | |"
    except subprocess.CalledProcessError:
        return f"| {data.name} | {name} | ended with an error | | | |"
    except Exception as error:  # what a tool cannot do is a result too
        return f"| {data.name} | {name} | cannot ({type(error).__name__}) | | | |"
    seconds = time.perf_counter() - started
    pairs, both = evaluate.pairwise(clusters, data.truth), evaluate.b_cubed(clusters, data.truth)
    found = f"{pairs.precision:.3f} | {pairs.recall:.3f} | {pairs.f1:.4f} / {both.f1:.4f}"
    return f"| {data.name} | {name} | {found} | {seconds:.1f} |"


def main(folder: Path) -> None:
    """Run everything, print the table and write it."""
    lines = [
        "# Matching on labelled data", "",
        "Unsupervised, as each tool comes; see bench/accuracy.py. F1 is pairwise / B³, over clusters. "
        "recordlinkage and dedupe compare the same columns in one general setting, and have "
        f"{PEER_SECONDS} s and {PEER_GB} GB for each set.",
        "",
        "| set | tool | precision | recall | F1 | seconds |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    own = Ours([])
    with tempfile.TemporaryDirectory() as made:
        pythons = {tool: _environment(Path(made) / tool, packages) for tool, packages in PEERS.items()}
        for data in sets(folder, Path(made)):
            runs: list[tuple[str, Callable[[Labelled], Clusters]]] = [
                ("identity-graph", own),
                ("Splink 5, p ≥ .95", plain_splink),
            ]
            runs += [(tool, partial(peer, tool, python, Path(made))) for tool, python in pythons.items()]
            for name, run in runs:
                lines.append(_measure(name, run, data))
                print(lines[-1], flush=True)
            own.beside(data)
    lines += [
        "", "Thresholds of identity-graph in bits, chosen without labels, and the best that labels would show.", "",
        "| set | shipped | F1 | best F1 | at | largest cluster | largest person |",
        "| --- | --- | --- | --- | --- | --- | --- |", *own.thresholds,
    ]  # fmt: skip
    print("\n".join(own.thresholds))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _environment(folder: Path, packages: list[str]) -> Path:
    """A throw-away environment with `packages`; its Python."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return python


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data")
