"""From a file to clusters: the steps in order, with progress."""

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt

from matching import batch, configure, predict, thresholds, train
from matching import settings as settings_file
from matching.batch import RECORDS, Record, across, quote
from matching.cluster import Clusters, cluster
from matching.errors import InputError, ModelError, TrainingError
from matching.fields import FieldMap, LinkType
from matching.model import Model, new_version
from matching.scorer import Score, Scorer
from matching.settings import Overrides

Progress = Callable[[str], None]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pairs = tuple[Ints, Ints]  # `rid` of both, the lesser first
NO_PAIRS: Pairs = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
SAMPLE_PAIRS = 600_000  # random pairs from which u is estimated
FLOOR = -5.0  # bits; pairs below are not kept
MAX_TRAINING_PAIRS = 2_000_000
STRONGEST = 0.1  # of the pairs that would be merged: here two people are hardly ever taken for one
ENOUGH_ACROSS = 50  # pairs among those, to tell anything by
EACH_ONCE = "each source seems to hold a person once, so only records of different sources are compared"
FEW_WITHIN = 0.02  # of a source's records may seem doubled before it stops counting as de-duplicated


def _quiet(_: str) -> None:
    """Progress for nobody."""


@dataclass
class Prepared:
    """A normalised table `records` in `con`, and how it came about."""

    con: duckdb.DuckDBPyConnection
    fields: FieldMap
    plan: batch.Plan
    profile: configure.Profile
    link_type: LinkType
    fingerprint: str
    seconds: dict[str, float] = field(default_factory=dict[str, float])


@dataclass
class Outcome:
    """Clusters of a run: `record_ids[i]` is in the cluster that `clusters.label[i]` names by its first record.

    `left`, `right`, `weights`: the scored pairs. `exclusive[i]` ≥ 0: the source of record i holds each person once.
    """

    model: Model
    prepared: Prepared
    record_ids: list[str]
    sources: list[str]
    clusters: Clusters
    curve: list[thresholds.Point]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    exclusive: list[int] | None

    @property
    def cluster_ids(self) -> list[str]:
        """For each record the id of its cluster: that of its first record."""
        return [self.record_ids[i] for i in self.clusters.label]

    def near_threshold(self, wanted: int) -> list[tuple[int, int]]:
        """Scored pairs around the automatic threshold, spread out where there are many; strongest first."""
        step = max(1, min(40, len(self.weights) // (wanted * 8)))
        order = np.lexsort((self.right, self.left, np.abs(self.weights - self.model.thresholds.auto)))
        nearest = order[: wanted * step : step]
        nearest = sorted(nearest.tolist(), key=lambda k: -self.weights[k])
        return [(int(self.left[k]), int(self.right[k])) for k in nearest]

    @property
    def unlinkable(self) -> int:
        """Records of a sample, scaled up, whose exact copy would not reach the automatic threshold."""
        count = self.prepared.profile.rows
        sample = np.linspace(0, count - 1, min(count, 5000)).astype(np.int64)
        weigher = Weigher(self.prepared.con, self.model)
        weigher.load(np.unique(sample))
        below = sum(weigher(int(i), int(i)) < self.model.thresholds.auto for i in np.unique(sample))
        return round(below * count / max(len(np.unique(sample)), 1))


def connect(memory_gb: float = 2.0, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory database that spills instead of growing."""
    con = duckdb.connect(config={"memory_limit": f"{memory_gb}GB"})
    con.execute("SET enable_progress_bar = false")
    con.execute("SET preserve_insertion_order = false")
    if threads:
        con.execute(f"SET threads = {threads}")
    return con


def prepare(
    con: duckdb.DuckDBPyConnection,
    paths: Sequence[Path],
    mapping: Path | Mapping[str, Any] | None = None,
    model: Model | None = None,
    progress: Progress = _quiet,
    equal: bool = False,
) -> Prepared:
    """Read and normalise files. With a `model`, fields and dates are read as in its training. `equal`: records that
    equal many others stay among them.

    Raises InputError where the files or the mapping cannot be used.
    """  # fmt: skip
    started = time.perf_counter()
    progress("reading")
    columns = batch.read_raw(con, paths)
    rows = con.sql("SELECT count(*) FROM raw").fetchall()[0][0]
    if rows == 0:
        raise InputError(f"{paths[0].name} has a header but no records")
    fields = batch.field_map(con, columns, mapping if model is None else model.fields.as_dict())
    plan = model.plan if model else batch.make_plan(fields, lambda column: batch.date_order_in(con, column))
    fields = batch.as_read(fields, plan)
    notes = [*plan.notes, *batch.passed_over(con, columns, fields)]
    if len(paths) > 1 and not fields.source:
        notes.append(f"no column tells the source, so each of the {len(paths)} files is one")
    notes += batch.normalise_table(con, fields, plan, progress)
    plan = replace(plan, notes=tuple(notes))
    con.execute("DROP TABLE raw")
    link_type: LinkType = fields.link_type or "dedupe"
    cap = rows if link_type == "link" else model.block_cap if model else configure.block_cap(rows)
    if doubles := batch.set_doubles_aside(con, plan.columns, rows if equal else cap):
        note = f"{doubles:,} records are equal in every field to one of more than {cap} others, and go where it goes"
        plan = replace(plan, notes=(*plan.notes, note))
    found = configure.profile(con, plan.columns)
    if link_type == "link" and found.sources < 2:
        raise InputError("link_type is link, but there is only one source; name the column that holds it as `source`")
    prepared = Prepared(con, fields, plan, found, link_type, _fingerprint(con, plan.columns))
    prepared.seconds["read and normalise"] = time.perf_counter() - started
    return prepared


def _fingerprint(con: duckdb.DuckDBPyConnection, columns: Iterable[str]) -> str:
    """A hash of the normalised records, whatever their order."""
    names = ", ".join(quote(c) for c in columns)
    count, total = con.sql(
        f"SELECT count(*), sum(hash(record_id, source, {names})::HUGEINT) FROM {RECORDS}"
    ).fetchall()[0]
    return hashlib.sha256(f"{count}:{total}".encode()).hexdigest()


def fit(prepared: Prepared, overrides: Mapping[str, Any] | None = None, progress: Progress = _quiet) -> Model:
    """Train a model on prepared records.

    `overrides`: keys of a Splink settings file; `comparisons` replace those of the same output column name,
    `blocking_rules_to_generate_predictions` are added, `probability_two_random_records_match` replaces the estimate.
    Where every source turns out to hold each person once, the model is trained anew on pairs of two sources, and
    `prepared` is from then on of the link type `link`; a link type that a mapping gives stays as it is.
    Raises TrainingError where the data cannot carry a model, InputError or ModelError where an override cannot be used.
    """
    con, found = prepared.con, prepared.profile
    given = settings_file.overrides(con, prepared.plan.columns, overrides or {})
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        prepared.seconds[name] = time.perf_counter() - clock
        clock = time.perf_counter()

    comparisons = configure.comparisons(found)
    if not comparisons:
        raise TrainingError(
            "no recognised column tells records apart: each is empty, or the same in every record. "
            "Map columns that differ between people with `fields:` in a mapping file"
        )
    progress("choosing blocking rules")
    rules, cap = configure.blocking_rules(con, found, prepared.link_type)
    if found.rows > 1 and not rules:
        raise TrainingError(
            "no blocking rule gives a pair to compare: values are all different, or shared by more than "
            f"{cap} records each"
        )
    sql_rules = configure.write_keys(con, rules, cap)
    sql_rules = [f"{rule}{across(prepared.link_type)}" for rule in (*sql_rules, *given.rules)]
    lap("choose blocking rules")
    progress("comparing candidate pairs")
    pairs = predict.candidate_pairs(con, sql_rules)
    train.write_term_frequencies(
        con, given.term_frequencies | {level.tf: level.u for c in comparisons for level in c.levels if level.tf}
    )
    labelled = train.labelled_pairs(con, prepared.link_type) if prepared.fields.person else NO_PAIRS
    candidates = train.patterns(con, comparisons, prepared.plan.columns, *_to_train_on(pairs, labelled))
    lap("compare candidate pairs")
    progress("estimating u from random pairs")
    total = train.total_pairs(con, prepared.link_type)
    sample = train.random_sample(
        con, comparisons, prepared.plan.columns, found.rows, SAMPLE_PAIRS, total, prepared.link_type
    )
    lap("compare random pairs")
    progress("training by expectation maximisation")
    if found.sources > 1 and not prepared.fields.link_type and _each_once(prepared, comparisons, candidates, sample):
        prepared.link_type = "link"
        prepared.fields = replace(prepared.fields, link_type="link")
        prepared.plan = replace(prepared.plan, notes=(*prepared.plan.notes, EACH_ONCE))
        return fit(prepared, overrides, progress)
    trained = train.fit(comparisons, candidates, sample, max(total, 1.0), found.rows)
    lap("expectation maximisation")
    if len(comparisons) == 1:
        trained.warnings.append(f"{comparisons[0].name} alone says too little to merge records by; map more columns")
    overridden, linked = given != Overrides(), prepared.link_type == "link"
    prior = trained.prior
    if linked:
        prior = train.prior_of_partners(con, prior, trained.matches, total)
    settings = predict.settings_dict(_trained_comparisons(comparisons, trained), sql_rules, prior)
    weight = train.weights(comparisons, candidates, trained.m, trained.u, prior)
    blocked = candidates.label != train.MISSED
    hold = train.labels_that_hold(comparisons, candidates, trained)
    known = thresholds.Labelled(np.where(blocked, weight, -np.inf), hold)
    weight, size, matches = weight[blocked], candidates.count[blocked], trained.matches
    best, chance = None, None
    if overridden or linked:
        given.apply(settings)
        left, right, weight = _edges(con, settings)
        if overridden:
            found_ones = weight[_in(labelled, (left, right))]
            known = thresholds.Labelled(
                np.append(found_ones, -np.inf), np.append(np.ones(len(found_ones)), len(labelled[0]) - len(found_ones))
            )
            matches = matches if given.prior is None else given.prior * total
        if linked:
            sources = con.sql(f"SELECT source FROM {RECORDS} ORDER BY rid").fetchnumpy()["source"]
            source = np.unique(np.asarray(sources, dtype=str), return_inverse=True)[1]
            best, chance = thresholds.best_of_both(left, right, weight, source)
        size = np.ones(len(weight))
        lap("weigh pairs one by one")
    chosen, curve = thresholds.choose(weight, size, matches, found.rows, known, chance)
    unguarded = chosen
    if best is not None and chance is not None:
        chosen, curve = thresholds.choose(weight[best], size[best], matches, found.rows, known, chance[best])
    averages = train.averages(comparisons, candidates, trained.m, trained.u)
    average = {c.name: bits for c, bits in zip(comparisons, averages, strict=True)}
    trained_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Model(
        version=new_version(prepared.fingerprint, trained_at),
        settings=settings,
        term_frequencies=train.read_term_frequencies(con, settings_file.tf_columns(settings)),
        thresholds=chosen,
        unguarded=unguarded,
        fields=replace(prepared.fields, person=None),
        day_first=prepared.plan.day_first,
        rules=tuple(rules),
        block_cap=cap,
        fingerprint=prepared.fingerprint,
        trained_at=trained_at,
        report={
            "records": found.rows,
            "sources": found.sources,
            "link_type": prepared.link_type,
            "pairs_possible": total,
            "pairs_compared": len(pairs[0]),
            "matches_expected": matches,
            "household_pairs": trained.homes,
            "iterations": trained.iterations,
            "warnings": trained.warnings,
            "notes": [*prepared.plan.notes, *_said_of_labels(prepared, candidates, known), *given.notes],
            "filled": dict(found.filled),
            "distinct": dict(found.distinct),
            "comparisons": [
                {
                    "name": (name := c["output_column_name"]),
                    "why": c.get("comparison_description", ""),
                    "average": round(average.get(name, 0.0), 2),
                }
                for c in settings["comparisons"]
            ],
            "rules": [{"rule": r.text, "pairs": r.pairs, "blocks_left_out": r.dropped} for r in rules],
            "curve": [[p.weight, p.precision, p.recall, p.f1] for p in curve],
            "seconds": {name: round(s, 2) for name, s in prepared.seconds.items()},
        },
    )


def _each_once(
    prepared: Prepared, comparisons: Sequence[configure.Comparison], candidates: train.Patterns, sample: train.Patterns
) -> bool:
    """Whether hardly any source seems to hold a person twice.

    What matches look like is learned from pairs of two sources alone, and the strongest of all pairs tell. Of weaker
    ones too many are two people's: where relatives and namesakes abound, half of them, which then look like doubles
    within a source.
    """
    rows, total = prepared.profile.rows, train.total_pairs(prepared.con, "link")
    try:
        of_two = train.fit(comparisons, candidates.but(candidates.within), sample.but(sample.within), total, rows)
    except TrainingError:
        return False
    weight = train.weights(comparisons, candidates, of_two.m, of_two.u, of_two.prior)
    order = np.flatnonzero(weight >= 0)
    order = order[np.argsort(-weight[order], kind="stable")]
    many, within = candidates.count[order], candidates.within[order]
    strongest = np.cumsum(many) <= max(many.sum() * STRONGEST, 2 * ENOUGH_ACROSS)
    once, twice = many[strongest & ~within].sum(), many[strongest & within].sum()
    return bool(once >= ENOUGH_ACROSS and twice <= FEW_WITHIN * once and many[~within].sum() > 0.05 * rows)


def _said_of_labels(prepared: Prepared, candidates: train.Patterns, known: thresholds.Labelled) -> list[str]:
    """For the report: what the labelled pairs were used for."""
    if not prepared.fields.person:
        return []
    pairs = int(candidates.seen[candidates.label != train.UNKNOWN].sum())
    missed = int(candidates.seen[candidates.label == train.MISSED].sum())
    told = f"{pairs:,} pairs are known to be one person's by {prepared.fields.person}"
    if not pairs:
        return [f"{told}: no value is shared by 2 to {train.LABELS_SHARED} records"]
    said = f"{told}, {missed:,} of which no blocking rule finds; {known.total:,.0f} of them seem to be right"
    used = "they tell m" if known.total >= train.LABELS_ENOUGH else "too few to tell m by themselves"
    return [f"{said}: {used}, and recall is measured on them"]


def _to_train_on(pairs: Pairs, labelled: Pairs) -> tuple[Pairs, Floats, npt.NDArray[np.int8]]:
    """A sample of the candidates, and every labelled pair; the pairs that each stands for, and what is known of it."""
    others = np.flatnonzero(~_in(pairs, labelled))
    taken = others
    if len(others) > MAX_TRAINING_PAIRS:
        taken = np.random.default_rng(1).choice(others, MAX_TRAINING_PAIRS, replace=False, shuffle=False)
    label = np.where(_in(labelled, pairs), train.FOUND, train.MISSED)
    return (
        (np.concatenate([pairs[0][taken], labelled[0]]), np.concatenate([pairs[1][taken], labelled[1]])),
        np.concatenate([np.full(len(taken), len(others) / max(len(taken), 1)), np.ones(len(label))]),
        np.concatenate([np.full(len(taken), train.UNKNOWN), label]).astype(np.int8),
    )


def _in(pairs: Pairs, others: Pairs) -> npt.NDArray[np.bool_]:
    """Which of the pairs are among the others?"""
    rows = max((int(ends.max()) for ends in (*pairs, *others) if len(ends)), default=0) + 1
    return np.isin(pairs[0] * rows + pairs[1], others[0] * rows + others[1])


def _trained_comparisons(comparisons: Sequence[configure.Comparison], trained: train.Trained) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for k, comparison in enumerate(comparisons):
        described = comparison.as_splink()
        for i, level in enumerate(described["comparison_levels"]):
            if not level.get("is_null_level"):
                level["m_probability"] = min(float(trained.m[k][i]), 1.0)
                level["u_probability"] = min(float(trained.u[k][i]), 1.0)
        out.append(described)
    return out


def apply(prepared: Prepared, model: Model, progress: Progress = _quiet) -> Outcome:
    """Predict with Splink and cluster."""
    con = prepared.con
    started = time.perf_counter()
    rows = prepared.profile.rows
    if "bk_0" not in [c[0] for c in con.sql(f"DESCRIBE {RECORDS}").fetchall()]:
        configure.write_keys(con, model.rules, model.block_cap, unseen=True)
        train.restore_term_frequencies(con, model.term_frequencies)
    progress("predicting")
    left, right, weight = _edges(con, model.settings)
    prepared.seconds["predict"] = time.perf_counter() - started
    progress("clustering")
    started = time.perf_counter()
    ids = con.execute(f"SELECT record_id, source FROM {RECORDS} ORDER BY rid").fetchnumpy()
    record_ids, sources = [str(v) for v in ids["record_id"]], [str(v) for v in ids["source"]]
    exclusive = _exclusive(sources, left, right, weight, model.thresholds.auto, prepared.link_type)
    weigh = Weigher(con, model)
    clusters = cluster(
        left, right, weight, rows, model.thresholds.auto, model.thresholds.linkage, weigh, exclusive
    )  # fmt: skip
    doubles = con.execute("SELECT record_id, source, rid FROM doubles ORDER BY source, record_id").fetchnumpy()
    record_ids += [str(v) for v in doubles["record_id"]]
    sources += [str(v) for v in doubles["source"]]
    label = np.concatenate([clusters.label, clusters.label[np.asarray(doubles["rid"], dtype=np.int64)]])
    clusters = replace(clusters, label=label)
    exclusive = None if exclusive is None else [*exclusive, *[-1] * len(doubles["rid"])]
    prepared.seconds["cluster"] = time.perf_counter() - started
    curve = [thresholds.Point(*p) for p in cast("list[list[float]]", model.report["curve"])]
    return Outcome(model, prepared, record_ids, sources, clusters, curve, left, right, weight, exclusive)


def _edges(con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]) -> tuple[Ints, Ints, Floats]:
    """The pairs at or above the floor in the order of their records, and their weights."""
    predict.predict(con, settings, FLOOR)
    edges = con.execute("SELECT rid_l, rid_r, match_weight FROM edges ORDER BY rid_l, rid_r").fetchnumpy()
    left, right = (np.asarray(edges[side], dtype=np.int64) for side in ("rid_l", "rid_r"))
    return left, right, np.asarray(edges["match_weight"], dtype=np.float64)


def _exclusive(
    sources: Sequence[str], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64], auto: float, link_type: LinkType,
) -> list[int] | None:  # fmt: skip
    """For each record its source, where that source holds each person once; None if none does.

    A source counts as such if it is linked, or if hardly any of its records find a partner within it although many
    find one outside.
    """
    names, code = np.unique(np.asarray(sources), return_inverse=True)
    if len(names) < 2 or link_type == "link_and_dedupe":
        return None
    if link_type == "link":
        return code.tolist()
    strong = weight >= auto
    same = code[left] == code[right]
    sizes = np.bincount(code, minlength=len(names))
    within = np.bincount(code[left[strong & same]], minlength=len(names))
    crossing = strong & ~same
    outside = np.bincount(np.concatenate([code[left[crossing]], code[right[crossing]]]), minlength=len(names))
    once = (within <= FEW_WITHIN * outside) & (outside > 0.05 * sizes)
    return np.where(once[code], code, -1).tolist() if once.any() else None


class Weigher:
    """Scores pairs that no blocking rule produced; records are fetched when the first of a group is asked for."""

    def __init__(self, con: duckdb.DuckDBPyConnection, model: Model) -> None:
        self.con, self.scorer = con, Scorer(model.settings, model.term_frequencies, model.average)
        self.columns = model.plan.columns
        self.records: dict[int, Record] = {}

    def load(self, rids: npt.NDArray[np.int64]) -> None:
        if not len(rids):
            return
        self.con.register("wanted", {"rid": rids})
        names = ", ".join(quote(c) for c in self.columns)
        rows = self.con.execute(f"SELECT rid, {names} FROM {RECORDS} JOIN wanted USING (rid)").fetchall()
        self.con.unregister("wanted")
        self.records |= {row[0]: dict(zip(self.columns, row[1:], strict=True)) for row in rows}

    def load_pairs(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Fetch the records of some pairs."""
        self.load(np.unique(np.asarray([i for pair in pairs for i in pair], dtype=np.int64)))

    def __call__(self, i: int, j: int) -> float:
        return self.scorer.weight(self.records[i], self.records[j])

    def explain(self, i: int, j: int) -> Score:
        """Weight, probability and levels of a pair."""
        return self.scorer.score(self.records[i], self.records[j])


def run(
    paths: Sequence[Path],
    mapping: Path | Mapping[str, Any] | None = None,
    settings: Path | None = None,
    model: Model | None = None,
    progress: Progress = _quiet,
    con: duckdb.DuckDBPyConnection | None = None,
) -> Outcome:
    """Train (unless a model is given) and cluster; one record is a cluster of its own.

    Raises InputError, TrainingError or ModelError.
    """  # fmt: skip
    prepared = prepare(con or connect(), paths, mapping, model, progress)
    if model is None:
        model = fit(prepared, settings_file.load_settings(settings) if settings else None, progress)
    elif missing := set(model.plan.columns) - set(prepared.plan.columns):
        raise ModelError(f"the model needs the fields {', '.join(sorted(missing))}, which this file lacks")
    return apply(prepared, model, progress)


def explain(prepared: Prepared, model: Model, first: str, second: str) -> tuple[Score, float]:
    """Score of two records of a prepared file, and the prior's weight. Raises InputError for an unknown id."""
    rids: list[int] = []
    for record_id in (first, second):
        found = prepared.con.execute(
            f"SELECT rid FROM (SELECT rid, record_id FROM {RECORDS} UNION ALL SELECT rid, record_id FROM doubles) "
            "WHERE record_id = ?",
            [record_id],
        ).fetchall()
        if not found:
            raise InputError("there is no record with one of these ids in the file")
        rids.append(found[0][0])
    weigher = Weigher(prepared.con, model)
    weigher.load_pairs([(rids[0], rids[1])])
    return weigher.explain(rids[0], rids[1]), weigher.scorer.prior_weight


def compare(before: Model, after: Model) -> dict[str, Any]:
    """What differs between two models: rows of (what, before, after), weights in bits where half a bit apart."""
    rows: list[list[str | float]] = [["version", before.version, after.version]]
    rows += [
        [f"{name} threshold", getattr(before.thresholds, name), getattr(after.thresholds, name)]
        for name in ("auto", "review", "linkage")
    ]
    ours, theirs = ({f"{name}: {label}": bits for name, label, bits in level_weights(m)} for m in (before, after))
    for key in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(key, float("nan")), theirs.get(key, float("nan"))
        if not abs(a - b) < 0.5:
            rows.append([key, a, b])
    return {"differences": rows}


def level_weights(model: Model) -> list[tuple[str, str, float]]:
    """(comparison, level, weight in bits) of every level that is not for missing values."""
    return [
        (c["output_column_name"], lv["label_for_charts"], float(np.log2(lv["m_probability"] / lv["u_probability"])))
        for c in model.settings["comparisons"]
        for lv in c["comparison_levels"]
        if not lv.get("is_null_level")
    ]
