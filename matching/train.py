"""Training: m, u and the prior by expectation maximisation over candidate pairs, with priors.

Splink's EM looks inside one block at a time and must leave out what the block is made of; it fails where a block
holds mostly households, or hardly any matches. Here one EM sees the candidates of *all* blocking rules:

    weight(pair)  = log2 λ/(1-λ) + Σ_c log2 m_c/u_c          (term frequencies in place of u where they apply)
    p(pair)       = 2^w / (1 + 2^w)
    m_level       = (Σ p over pairs at the level + α·m_prior) / (Σ p over pairs compared + α)
    u_level       = (N_level - Σ p + β·u_prior) / (N_compared - Σ p + β)
    λ             = Σ p / N

A third class stands beside matches and strangers: people of one household, who share family name, address and
contacts as a match does, and first name and date of birth no more than strangers do. Without it EM takes families for
matches. It only takes part in training; u of the finished model is that of all who are no match.

N_level is the number of pairs at a level among *all* pairs: from a random sample where the sample sees the level,
else from the candidates, which hold nearly every pair of a rare agreement. A pair outside the candidates counts as
no match. Pairs are grouped by their vector of levels, so an iteration costs the number of different vectors.

With few matches α lets the priors carry; with many the data speak. Fellegi and Sunter (1969) for the weights,
Winkler (1988) for EM.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from matching.batch import PERSON, RECORDS, across, quote
from matching.bound import NULL, TRUE, Ints, can_hold
from matching.configure import Comparison, Level
from matching.errors import TrainingError
from matching.fields import LinkType

MOST_WITH_PARTNER = 0.9  # share of a source's records that may be expected to have a partner in another
ALPHA = 60.0  # matches' worth of belief in the prior m
FEW = 1000.0  # records; below this the belief in the prior m grows
BETA_GIVEN = 50.0  # pairs' worth of belief in u of levels whose base is the few pairs that already share much
BELIEF_U_SEEN = 1.0  # pairs at the level that the prior u counts for: a few thousand pairs do not show what is rarer
LEAST_U = 1 / 30  # of the prior u: a level that no sampled pair shows is rare, not impossible
MAX_ITERATIONS = 60
MIN_WEIGHT, MAX_WEIGHT = -12.0, 25.0
TF_BELIEF = 300.0  # records' worth of belief in the prior frequency; it fades as records come
SEEN_ENOUGH = 30  # sampled pairs at a level before the sample is believed
UNKNOWN, FOUND, MISSED = 0, 1, 2  # what is known of a pair beforehand
LABEL_HOLDS = 0.95  # chance that two records with one label are one person's, before anything is compared
LABELS_SHARED = 10  # records; a label of more is no person's
MOST_LABELLED = 200_000  # pairs
LABELS_ENOUGH = 300.0  # labelled pairs that could be at a level, from which on they alone tell m

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Patterns:
    """Pairs grouped by their levels. `gamma[i, c]`: index of the level of comparison c, -1 for null.

    `bits[i]`: -Σ log2(term frequency) over the exact levels with term frequencies, rounded; `home_bits[i]` the part
    of comparisons that a household shares. `count[i]`: pairs that they stand for, `seen[i]` pairs that were looked at.
    `label[i]`: UNKNOWN, or that the pairs are labelled as one person's, FOUND by a blocking rule or MISSED by all.
    `within[i]`: both records are of one source.
    """

    gamma: npt.NDArray[np.int16]
    bits: Floats
    home_bits: Floats
    count: Floats
    seen: Floats
    label: npt.NDArray[np.int8]
    within: npt.NDArray[np.bool_]

    def but(self, these: npt.NDArray[np.bool_]) -> "Patterns":
        """The others."""
        return Patterns(*(getattr(self, field.name)[~these] for field in fields(self)))


@dataclass
class Trained:
    """m and u by comparison and level (NaN for null levels), and what training saw."""

    m: list[list[float]]
    u: list[list[float]]
    prior: float
    matches: float
    homes: float
    pairs_total: float
    iterations: int
    warnings: list[str] = field(default_factory=list[str])
    support: list[list[float]] = field(default_factory=list[list[float]])


def case_sql(comparison: Comparison) -> str:
    """The level index of a pair as SQL over `…_l` and `…_r` columns; -1 for the null level."""
    branches: list[str] = []
    for index, level in enumerate(comparison.levels):
        value = -1 if level.null else index
        branches.append(f"ELSE {value}" if level.sql == "ELSE" else f"WHEN {level.sql} THEN {value}")
    return f"CASE {' '.join(branches)} END"


_CALL = re.compile(r"(?:jaro_winkler_similarity|levenshtein|damerau_levenshtein|list_has_any)\([^()]*\)")
_TEST = re.compile(rf"({_CALL.pattern}) (>=|<=) ([0-9.]+)")


def _computed_once(cases: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The cases with names in place of calls, those calls as columns, and conditions that they need.

    DuckDB computes a call in each branch anew, and for most pairs the answer is far from what any branch asks: a column
    `can_<i>` tells where condition i, the least that is asked of a call, can hold at all.
    """
    normal = [case.replace('"', "") for case in cases]
    calls = Counter(call for case in normal for call in _CALL.findall(case))
    tests = [test for case in normal for test in _TEST.findall(case)]
    columns: list[str] = []
    conditions: list[str] = []
    for i, (call, count) in enumerate(calls.items()):
        asked = [(op, float(value)) for tested, op, value in tests if tested == call]
        if len(asked) == count:
            least, far, same = (min, 0, 1) if asked[0][0] == ">=" else (max, 1_000_000, 0)
            can, (left, right) = f"can_{len(conditions)}", call[call.index("(") + 1 : -1].split(", ")
            easy = f"WHEN {left} = {right} AND {left} <> '' THEN {same} WHEN NOT {can} THEN {far}"
            columns.append(f"CASE {easy} WHEN {can} THEN {call} END AS call_{i}")
            conditions.append(f"{call} {asked[0][0]} {least(value for _, value in asked)}")
        else:
            columns.append(f"{call} AS call_{i}")
    names = {call: f"call_{i}" for i, call in enumerate(calls)}
    return [_CALL.sub(lambda found: names[found.group()], case) for case in normal], columns, conditions


def columns_used(comparisons: Sequence[Comparison], available: Sequence[str]) -> list[str]:
    """Normalised columns that the comparisons read."""
    text = " ".join(level.sql for c in comparisons for level in c.levels)
    return [c for c in available if f"{c}_l" in text or f'"{c}_l"' in text]


def write_term_frequencies(con: duckdb.DuckDBPyConnection, columns: Mapping[str, float]) -> None:
    """Tables `tf_<column>` (value, tf): the share of records with a value that have this one.

    `columns`: each with the prior u of its level. In a few hundred records a name held by three seems common and is
    not; so the shares are drawn towards that u, less and less as the records become many.
    """
    for column, u in columns.items():
        q = quote(column)
        total = con.sql(f"SELECT count({q}) FROM {RECORDS}").fetchall()[0][0]
        belief = TF_BELIEF**2 / (TF_BELIEF + total)
        con.execute(
            f"CREATE OR REPLACE TABLE {quote('tf_' + column)} AS SELECT {q} AS value, "
            f"(count(*) + {belief * u}) / ({total + belief}) AS tf FROM {RECORDS} WHERE {q} IS NOT NULL GROUP BY 1"
        )


def read_term_frequencies(con: duckdb.DuckDBPyConnection, columns: Iterable[str]) -> dict[str, dict[str, float]]:
    """What `write_term_frequencies` wrote, by column and value."""
    return {c: dict(con.execute(f"SELECT value, tf FROM {quote('tf_' + c)}").fetchall()) for c in columns}


def restore_term_frequencies(con: duckdb.DuckDBPyConnection, saved: Mapping[str, Mapping[str, float]]) -> None:
    """Tables `tf_<column>` as they were in training."""
    for column, shares in saved.items():
        table = pa.table({"value": list(shares), "tf": list(shares.values())})
        con.register("saved_tf", table)
        con.execute(f"CREATE OR REPLACE TABLE {quote('tf_' + column)} AS SELECT * FROM saved_tf")
        con.unregister("saved_tf")


def total_pairs(con: duckdb.DuckDBPyConnection, link_type: LinkType) -> float:
    """All pairs that could match."""
    sizes = _source_sizes(con)
    n = sum(sizes)
    if link_type == "link":
        return (n * n - sum(s * s for s in sizes)) / 2
    return n * (n - 1) / 2


def _source_sizes(con: duckdb.DuckDBPyConnection) -> list[float]:
    return [row[0] for row in con.sql(f"SELECT count(*)::DOUBLE FROM {RECORDS} GROUP BY source").fetchall()]


def prior_of_partners(con: duckdb.DuckDBPyConnection, prior: float, matches: float, total: float) -> float:
    """The prior of pairs of sources that hold each person once, of which there are `total`.

    There a match rules out all others of both records, so it stands against their having no partner at all, which is
    the rarer the more have one: the odds are the prior's over (1 - ρ_l) (1 - ρ_r), with the share ρ of either source's
    records that have a partner in the other, on the average of all pairs.
    """
    sizes = _source_sizes(con)
    n = sum(sizes)
    # By the source that a record may have its partner in, not by pairs of sources: there may be thousands.
    shares = ((size * (n - size) / total, min(MOST_WITH_PARTNER, matches * size / total)) for size in sizes)
    bits = -sum(pairs * math.log2(1 - partnered) for pairs, partnered in shares)
    odds = prior / (1 - prior) * 2**bits
    return odds / (1 + odds)


def patterns(
    con: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Comparison],
    available: Sequence[str],
    pairs: tuple[Ints, Ints],
    stands: Floats | float = 1.0,
    label: npt.NDArray[np.int8] | int = UNKNOWN,
) -> Patterns:
    """Group pairs (`rid` of both) by their levels. `stands`: the pairs that each stands for."""
    used = columns_used(comparisons, available)
    tf_terms: dict[bool, list[str]] = {False: [], True: []}
    tf_columns: list[str] = []
    outer: list[str] = []
    cases, calls, conditions = _computed_once([case_sql(comparison) for comparison in comparisons])
    for k, comparison in enumerate(comparisons):
        outer.append(f"{cases[k]} AS g{k}")
        for index, level in enumerate(comparison.levels):
            if level.tf:
                tf_columns.append(level.tf)
                tf_terms[comparison.household].append(
                    f"CASE WHEN g{k} = {index} THEN -log2(greatest({quote(f'tf_{level.tf}_l')}, "
                    f"{quote(f'tf_{level.tf}_r')})) ELSE 0 END"
                )
    tf_columns = list(dict.fromkeys(tf_columns))
    with_tf = (
        f"SELECT rid, hash(source) AS source, {', '.join(quote(c) for c in used)}"
        + "".join(f", {quote('tf_' + c)}.tf AS {quote(f'tf_{c}')}" for c in tf_columns)
        + f" FROM {RECORDS} rec"
    )
    with_tf += "".join(
        f" LEFT JOIN {quote('tf_' + c)} ON rec.{quote(c)} = {quote('tf_' + c)}.value" for c in tf_columns
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE with_tf AS {with_tf}")
    sides = ", ".join(
        f"{side}.{quote(c)} AS {quote(f'{c}_{side}')}"
        for c in (*used, *(f"tf_{c}" for c in tf_columns))
        for side in "lr"
    )
    cans = [pa.array(can == TRUE, mask=can == NULL) for can in can_hold(con, conditions, *pairs)]
    names = ["stands", "label", *(f"can_{i}" for i in range(len(cans)))]
    each = [np.broadcast_to(value, len(pairs[0])) for value in (stands, label)]
    con.register("compared", pa.table([*pairs, *each, *cans], names=["rid_l", "rid_r", *names]))
    gammas = ", ".join(f"g{k}" for k in range(len(comparisons)))
    carried = [quote(f"tf_{c}_{s}") for c in tf_columns for s in "lr"]
    own, home = (f"round({' + '.join(terms) or '0'})" for terms in tf_terms.values())
    sql = f"""
        WITH p AS (SELECT {", ".join([sides, *names])}, l.source = r.source AS within
                   FROM compared c JOIN with_tf l ON l.rid = c.rid_l JOIN with_tf r ON r.rid = c.rid_r),
        q AS (SELECT {", ".join(["*", *calls])} FROM p),
        v AS (SELECT {", ".join([*outer, "stands", "label", "within", *carried])} FROM q)
        SELECT {gammas}, {own} AS own, {home} AS home, label, within, count(*)::DOUBLE AS seen, sum(stands) AS n
        FROM v GROUP BY ALL ORDER BY ALL
    """
    found = con.execute(sql).fetchnumpy()
    con.unregister("compared")
    con.execute("DROP TABLE with_tf")
    gamma = np.column_stack([np.asarray(found[f"g{k}"]) for k in range(len(comparisons))]).astype(np.int16)
    own_bits, home_bits = (np.asarray(found[name], dtype=float) for name in ("own", "home"))
    return Patterns(
        gamma,
        own_bits + home_bits,
        home_bits,
        np.asarray(found["n"], dtype=float),
        np.asarray(found["seen"], dtype=float),
        np.asarray(found["label"], dtype=np.int8),
        np.asarray(found["within"], dtype=np.bool_),
    )


def labelled_pairs(con: duckdb.DuckDBPyConnection, link_type: LinkType) -> tuple[Ints, Ints]:
    """Pairs (`rid` of both, the lesser first, in their order) of table `records` with the same known person.

    One whom more than LABELS_SHARED records name is no person. Of more than MOST_LABELLED pairs, a repeatable sample.
    """
    few = f"SELECT {PERSON} FROM {RECORDS} GROUP BY 1 HAVING count(*) BETWEEN 2 AND {LABELS_SHARED}"
    found = con.sql(
        f"SELECT a, b FROM (SELECT l.rid AS a, r.rid AS b FROM {RECORDS} l JOIN {RECORDS} r USING ({PERSON}) "
        f"WHERE l.rid < r.rid{across(link_type)} AND {PERSON} IN ({few}) "
        f"ORDER BY hash(l.rid, r.rid), a, b LIMIT {MOST_LABELLED}) ORDER BY a, b"
    ).fetchnumpy()
    return np.asarray(found["a"], dtype=np.int64), np.asarray(found["b"], dtype=np.int64)


def random_pairs_sql(rows: int, wanted: int, link_type: LinkType) -> tuple[str, bool]:
    """SQL for a repeatable random sample of pairs, and whether it is all of them."""
    only = across(link_type)
    if rows * (rows - 1) / 2 <= wanted:
        return (
            f"SELECT l.rid AS rid_l, r.rid AS rid_r FROM {RECORDS} l JOIN {RECORDS} r ON l.rid < r.rid{only}",
            True,
        )
    two = f"(hash(i) % {rows})::BIGINT AS a, (hash(i + 7919000003) % {rows})::BIGINT AS b"
    drawn = f"SELECT {two} FROM range({wanted}) t(i)"
    if only:
        ends = f"JOIN {RECORDS} l ON l.rid = a JOIN {RECORDS} r ON r.rid = b"
        drawn = f"SELECT a, b FROM ({drawn}) d {ends} WHERE true{only}"
    return f"SELECT least(a, b) AS rid_l, greatest(a, b) AS rid_r FROM ({drawn}) WHERE a <> b", False


def random_sample(
    con: duckdb.DuckDBPyConnection, comparisons: Sequence[Comparison], available: Sequence[str],
    rows: int, wanted: int, total: float, link_type: LinkType,
) -> Patterns:  # fmt: skip
    """Levels of `wanted` random pairs, or of all pairs where there are no more."""
    sql, complete = random_pairs_sql(rows, wanted, link_type)
    drawn = con.execute(sql).fetchnumpy()
    found = patterns(con, comparisons, available, (drawn["rid_l"], drawn["rid_r"]))
    seen = float(found.seen.sum())
    return found if complete or not seen else replace(found, count=found.seen * total / seen)


def fit(
    comparisons: Sequence[Comparison], candidates: Patterns, sample: Patterns, pairs_total: float, rows: int
) -> Trained:
    """Run EM from two starts; see the module's formula. Raises TrainingError where the result is no model."""
    counts = _Counts(comparisons, candidates, sample, pairs_total, ALPHA * (1 + FEW / rows))
    trained = _run(comparisons, counts, candidates, pairs_total, rows * 0.05)
    other = _run(comparisons, counts, candidates, pairs_total, rows * 1.0)
    apart = [
        f"{c.name} {lv.label!r}"
        for k, c in enumerate(comparisons)
        for i, lv in enumerate(c.levels)
        if not lv.null and abs(np.log2(trained.m[k][i] / other.m[k][i])) > 1
    ]
    if apart:
        trained.warnings.append(
            f"two runs of EM from different starts disagree by more than a bit on {', '.join(apart)}"
        )
    _keep_order(comparisons, trained)
    _check(comparisons, trained)
    return trained


def _run(
    comparisons: Sequence[Comparison], counts: "_Counts", candidates: Patterns, pairs_total: float, matches: float
) -> Trained:
    m = [[level.m for level in c.levels] for c in comparisons]
    u = [[level.u for level in c.levels] for c in comparisons]
    # Of a household: what people living together share is as among matches, the rest as among strangers.
    h = [[level.m if c.household else level.u for level in c.levels] for c in comparisons]
    homes_possible = sum(c.household for c in comparisons) >= 2
    matches = min(max(matches, 1.0), pairs_total / 3)
    homes = matches if homes_possible else 0.0
    size, labelled = candidates.count, candidates.label != UNKNOWN
    counts.update_u(u, None)
    iterations = 0
    match = np.zeros(len(size))
    while iterations < MAX_ITERATIONS:
        iterations += 1
        strangers = pairs_total - matches - homes
        prior = np.where(labelled, LABEL_HOLDS, matches / (matches + strangers))
        match_odds = np.exp2(np.clip(weights(comparisons, candidates, m, u, prior), -500, 500))
        home_odds = np.zeros(len(size))
        if homes_possible:
            home_odds = np.exp2(np.clip(_home_weights(comparisons, candidates, h, u, homes / strangers), -500, 500))
            home_odds[labelled] = 0.0
        total = 1.0 + match_odds + home_odds
        match = match_odds / total * size
        home = home_odds / total * size
        before = [list(row) for row in m]
        matches = min(max(float(match.sum()), 1.0), pairs_total / 3)
        homes = min(max(float(home.sum()), 1.0), pairs_total / 3) if homes_possible else 0.0
        counts.update_m(m, match)
        if homes_possible:
            counts.update_m(h, home, household=True)
        counts.update_u(u, match + home)
        if max(abs(a - b) for x, y in zip(before, m, strict=True) for a, b in zip(x, y, strict=True)) < 1e-5:
            break
    counts.update_u(u, match)  # of everyone who is not a match, strangers and households
    return Trained(m, u, matches / pairs_total, matches, homes, pairs_total, iterations, support=counts.support(match))


def _home_weights(
    comparisons: Sequence[Comparison], p: Patterns, h: list[list[float]], u: list[list[float]], odds: float
) -> Floats:
    weight = p.home_bits + np.log2(odds)
    for k, comparison in enumerate(comparisons):
        if comparison.household:
            weight = weight + _table(comparison, h[k], u[k])[p.gamma[:, k]]
    return weight


def _table(comparison: Comparison, m: Sequence[float], u: Sequence[float]) -> Floats:
    """Weight by level index, the last (-1) for the null level.

    Where a term frequency applies it stands for u of the plain equality; a level that is given something keeps how
    much likelier that makes it.
    """
    plain = {level.tf: u[i] for i, level in enumerate(comparison.levels) if level.tf and not level.given}
    found = [
        0.0 if level.null else float(np.log2(m[i]) - np.log2(u[i]) + (np.log2(plain[level.tf]) if level.tf else 0.0))
        for i, level in enumerate(comparison.levels)
    ]
    return np.asarray([*found, 0.0])


def averages(comparisons: Sequence[Comparison], p: Patterns, m: list[list[float]], u: list[list[float]]) -> list[float]:
    """Bits that the pairs have in each comparison on the average, term frequencies apart; 0 without pairs."""
    found: list[float] = []
    for k, comparison in enumerate(comparisons):
        bits = [0.0 if lv.null else np.log2(m[k][i]) - np.log2(u[k][i]) for i, lv in enumerate(comparison.levels)]
        found.append(float(np.asarray([*bits, 0.0])[p.gamma[:, k]] @ p.count / max(p.count.sum(), 1.0)))
    return found


def weights(
    comparisons: Sequence[Comparison], p: Patterns, m: list[list[float]], u: list[list[float]], prior: Floats | float
) -> Floats:
    """Match weight of each pattern."""
    weight = p.bits + np.log2(prior / (1 - prior))
    for k, comparison in enumerate(comparisons):
        weight = weight + _table(comparison, m[k], u[k])[p.gamma[:, k]]
    return weight


def labels_that_hold(comparisons: Sequence[Comparison], p: Patterns, t: Trained) -> Floats:
    """Of each pattern's labelled pairs, as many as are expected to be one person's; 0 of the others."""
    weight = weights(comparisons, p, t.m, t.u, LABEL_HOLDS)
    return np.where(p.label != UNKNOWN, p.count / (1 + np.exp2(-np.clip(weight, -60, 60))), 0.0)


class _Counts:
    """How many pairs are at a level, and how many could have been."""

    def __init__(
        self, comparisons: Sequence[Comparison], candidates: Patterns, sample: Patterns, total: float, alpha: float
    ) -> None:
        self.alpha = alpha
        self.comparisons = comparisons
        self.index = {c.name: k for k, c in enumerate(comparisons)}
        self.candidates, self.sample = candidates, sample
        self.complete = bool(np.array_equal(sample.count, sample.seen))  # all pairs were looked at
        self.labelled = candidates.label != UNKNOWN
        self.c_level = [[_at(candidates, k, i) for i in range(len(c.levels))] for k, c in enumerate(comparisons)]
        self.c_base = [[self._base(candidates, k, lv) for lv in c.levels] for k, c in enumerate(comparisons)]
        self.n_level = [
            [self._pairs(self.c_level[k][i], _at(sample, k, i)) for i in range(len(c.levels))]
            for k, c in enumerate(comparisons)
        ]
        self.n_base = [
            [self._pairs(self.c_base[k][i], self._base(sample, k, lv)) for i, lv in enumerate(c.levels)]
            for k, c in enumerate(comparisons)
        ]

    def _holds(self, p: Patterns, condition: Mapping[str, frozenset[str]]) -> npt.NDArray[np.bool_]:
        keep = np.ones(len(p.count), dtype=bool)
        for name, labels in condition.items():
            k = self.index.get(name)
            if k is None:
                continue
            wanted = [i for i, lv in enumerate(self.comparisons[k].levels) if lv.label in labels and not lv.null]
            keep &= np.isin(p.gamma[:, k], wanted)
        return keep

    def _base(self, p: Patterns, k: int, level: Level) -> npt.NDArray[np.bool_]:
        keep = p.gamma[:, k] >= 0
        if level.given:
            keep &= np.any([self._holds(p, condition) for condition in level.given], axis=0)
        for condition in level.unless:
            keep &= ~self._holds(p, condition)
        return keep

    def _pairs(self, in_candidates: npt.NDArray[np.bool_], in_sample: npt.NDArray[np.bool_]) -> float:
        known = float(self.candidates.count[in_candidates].sum())
        seen, sampled = float(self.sample.seen[in_sample].sum()), float(self.sample.count[in_sample].sum())
        if seen >= SEEN_ENOUGH or self.complete:
            return max(sampled, known)
        return known if known > 0 else sampled

    def update_m(self, m: list[list[float]], weight: Floats, household: bool = False) -> None:
        for k, comparison in enumerate(self.comparisons):
            if household and not comparison.household:
                continue
            for i, level in enumerate(comparison.levels):
                if not level.null and not level.fixed:
                    base = self.c_base[k][i]
                    if not household and float(weight[base & self.labelled].sum()) >= LABELS_ENOUGH:
                        base = base & self.labelled
                    alpha = self.alpha * comparison.trust
                    at = float(weight[base & self.c_level[k][i]].sum())
                    m[k][i] = (at + alpha * level.m) / (float(weight[base].sum()) + alpha)

    def update_u(self, u: list[list[float]], weight: Floats | None) -> None:
        for k, comparison in enumerate(self.comparisons):
            for i, level in enumerate(comparison.levels):
                if not level.null and not level.fixed:
                    at = float(weight[self.c_level[k][i]].sum()) if weight is not None else 0.0
                    base = float(weight[self.c_base[k][i]].sum()) if weight is not None else 0.0
                    n_at, n_base = max(self.n_level[k][i] - at, 0.0), max(self.n_base[k][i] - base, 0.0)
                    n_at = min(n_at, n_base)
                    beta = BETA_GIVEN if level.given else max(comparison.belief_u, BELIEF_U_SEEN / level.u)
                    u[k][i] = max((n_at + beta * level.u) / (n_base + beta), LEAST_U * level.u)

    def support(self, weight: Floats) -> list[list[float]]:
        return [[float(weight[mask].sum()) for mask in row] for row in self.c_level]


def _at(p: Patterns, k: int, i: int) -> npt.NDArray[np.bool_]:
    return p.gamma[:, k] == i


def _keep_order(comparisons: Sequence[Comparison], t: Trained) -> None:
    """Weights must not rise from agreement to disagreement: pool neighbours that do (isotonic); clip extremes."""
    for k, comparison in enumerate(comparisons):
        chain = [i for i, lv in enumerate(comparison.levels) if not (lv.null or lv.given or lv.free)]
        blocks: list[list[int]] = []
        for i in chain:
            blocks.append([i])
            while len(blocks) > 1 and _ratio(t, k, blocks[-2]) < _ratio(t, k, blocks[-1]):
                blocks[-2:] = [blocks[-2] + blocks[-1]]
        for block in blocks:
            if len(block) > 1:
                ratio = _ratio(t, k, block)
                names = ", ".join(repr(comparison.levels[i].label) for i in block)
                t.warnings.append(f"{comparison.name}: levels {names} were out of order and share one weight")
                for i in block:
                    t.m[k][i] = min(ratio * t.u[k][i], 1.0)
        for i, level in enumerate(comparison.levels):
            if level.null or level.fixed:
                continue
            weight = np.log2(t.m[k][i] / t.u[k][i])
            if weight < MIN_WEIGHT:
                t.m[k][i] = t.u[k][i] * 2.0**MIN_WEIGHT
                t.warnings.append(f"{comparison.name}: {level.label!r} clipped at {MIN_WEIGHT} bits")
            elif weight > MAX_WEIGHT:
                t.u[k][i] = t.m[k][i] * 2.0**-MAX_WEIGHT
                t.warnings.append(f"{comparison.name}: {level.label!r} clipped at {MAX_WEIGHT} bits")


def _ratio(t: Trained, k: int, block: Sequence[int]) -> float:
    return sum(t.m[k][i] for i in block) / sum(t.u[k][i] for i in block)


def _check(comparisons: Sequence[Comparison], t: Trained) -> None:
    for k, comparison in enumerate(comparisons):
        last = len(comparison.levels) - 1
        if t.m[k][last] > 0.5 and comparison.name in ("given_name", "family_name"):
            raise TrainingError(
                f"the model was refused: {comparison.name} would disagree in {t.m[k][last]:.0%} of matches, so what it "
                "learned are not matches of persons. Check that the columns are mapped to the right fields, or give "
                "records that share an identifier (email, phone, national id) so that training can find true matches"
            )
        plain = [i for i, lv in enumerate(comparison.levels) if not lv.null and not lv.given and not lv.fixed]
        if plain and t.m[k][plain[0]] <= t.u[k][plain[0]]:
            t.warnings.append(f"{comparison.name}: agreement is no evidence in this data")
