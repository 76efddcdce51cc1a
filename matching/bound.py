"""An upper bound of a pair's match weight, from a few numbers kept of each record.

Of a million candidate pairs some 97 % are far from a match, and to tell so takes Splink as long as to weigh the
others. The bound is never below the weight, so what it leaves out Splink would have left out:

    bound(pair) = log2 λ/(1-λ) + Σ_c max over the levels of c that the pair may be at (weight + term frequency)

AND, OR, NOT and coalesce keep the order FALSE < NULL < TRUE or reverse it. So a condition's upper bound is the
condition with upper bounds in place of its comparisons of two records (lower bounds under a NOT), and the other way
round. A level may hold where its upper bound is TRUE and no earlier level's lower bound is. Texts are compared by

    their hash         of 64 bits, which stands for the text as it does in blocking keys
    their letters      a set of 64 bits: an edit takes one letter away and adds one
    first, last bytes  one edit leaves one end as it is
    their length       Jaro-Winkler follows from the letters that can be in both, and from how far both begin alike

A comparison of another kind may be TRUE and may be FALSE. DuckDB's functions see bytes, and so does this.
"""

import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import log2
from typing import Any, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlglot
from sqlglot import expressions as ex

from matching.batch import RECORDS, quote
from matching.scorer import Adjustment, trained_level

FEWER = 0.7  # of the pairs left: then what was found of the others is no longer carried along
CHUNK = 65_536  # pairs at a time: what is computed of them stays in the processor's cache
SLACK = 1e-6  # bits, and shares of a similarity: floating-point sums in another order
ENDS = 4  # bytes kept of each end of a text
FALSE, NULL, TRUE = 0, 1, 2

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]
Truth = Any  # FALSE, NULL or TRUE of each pair (int8), or of all
Test = Callable[["_Pairs"], Truth]

_COMPARE: dict[type[ex.Expr], Callable[[Any, Any], Any]] = {
    ex.EQ: operator.eq, ex.NEQ: operator.ne, ex.LT: operator.lt, ex.LTE: operator.le, ex.GT: operator.gt,
    ex.GTE: operator.ge,
}  # fmt: skip
_NUMBERS = ("tinyint", "smallint", "integer", "bigint", "float", "double")
_ORDINARY = b"abcdefghijklmnopqrstuvwxyz0123456789"
_BIT = np.array(
    [1 << (_ORDINARY.index(b) if b in _ORDINARY else len(_ORDINARY) + b % (64 - len(_ORDINARY))) for b in range(256)],
    dtype=np.uint64,
)


class _Unknown(Exception):
    """Nothing is known of a condition."""


class _Pairs:
    """Some pairs, and what was found of them so far."""

    def __init__(self, kept: Sequence[Array], left: Ints, right: Ints) -> None:
        self._kept, self._ends = kept, (left, right)
        self._found: dict[Hashable, Any] = {}

    def sides(self, column: int, other: int | None = None) -> tuple[Array, Array]:
        """A kept column of the left records, and the same or another of the right ones."""
        return self.side(column, 0), self.side(column if other is None else other, 1)

    def side(self, column: int, side: int) -> Array:
        return self.once((column, side), lambda: self._kept[column][self._ends[side]])

    def once(self, key: Hashable, find: Callable[[], Any]) -> Any:
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]


@dataclass(frozen=True)
class _Level:
    """Where the level's condition may be TRUE, where it surely is, its weight in bits, and the place of its shares."""

    may: Test
    sure: Test
    weight: float
    tf: Adjustment | None
    shares: int = -1

    def most(self, kept: Sequence[Array]) -> float:
        """The greatest weight of a pair at this level."""
        if self.tf is None:
            return self.weight
        shares = kept[self.shares]
        rarest = np.nanmin(shares) if not np.isnan(shares).all() else 1.0
        return self.weight + float(max(0.0, _adjusted(self.tf, rarest), _adjusted(self.tf, 1.0)))

    def weights(self, pairs: _Pairs) -> Floats | float:
        """The weight of each pair that is at this level."""
        if self.tf is None:
            return self.weight
        tf, shares = self.tf, pairs.sides(self.shares)
        return self.weight + pairs.once(tf, lambda: np.nan_to_num(_adjusted(tf, np.fmax(*shares))))


def _adjusted(tf: Adjustment, share: Any) -> Any:
    return tf.weight * (tf.log2_u - np.log2(np.maximum(share, tf.least)))


class Bound:
    """The bound of a model for pairs of table `records`, whose `rid` counts from 0; reads tables `tf_<column>`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, settings: Mapping[str, Any]) -> None:
        compiler = _Compiler(con)
        self._threads = _threads(con)
        prior = float(settings["probability_two_random_records_match"])
        self._prior = log2(prior / (1 - prior))
        compiled = [compiler.comparison(c) for c in cast("list[dict[str, Any]]", settings["comparisons"])]
        self._kept = compiler.keep()
        # What can weigh most goes first, so that most pairs are left out before the last.
        found = [(max(level.most(self._kept) for level in levels), levels) for levels in compiled]
        self._comparisons = sorted(found, key=lambda comparison: -comparison[0])

    def reaching(self, left: Ints, right: Ints, least: float) -> npt.NDArray[np.bool_]:
        """Which pairs (`rid` of both) have a bound of at least so many bits."""

        def part(at: int) -> npt.NDArray[np.bool_]:
            return self.bounds(left[at : at + CHUNK], right[at : at + CHUNK], least) >= least

        with ThreadPoolExecutor(self._threads) as pool:  # numpy lets other threads run meanwhile
            parts = pool.map(part, range(0, len(left), CHUNK))
            return np.concatenate([np.empty(0, dtype=bool), *parts])

    def bounds(self, left: Ints, right: Ints, least: float) -> Floats:
        """The bounds of some pairs; of one that is below `least` only that it is."""
        total = np.full(len(left), self._prior + sum(most for most, _ in self._comparisons) + SLACK)
        alive, pairs = np.arange(len(left)), _Pairs(self._kept, left, right)
        for most, levels in self._comparisons:
            total[alive] += _best(levels, pairs, len(alive)) - most
            there = total[alive] >= least
            if np.count_nonzero(there) < FEWER * len(alive):
                alive = alive[there]
                pairs = _Pairs(self._kept, left[alive], right[alive])
        return total


def _threads(con: duckdb.DuckDBPyConnection) -> int:
    return int(con.sql("SELECT current_setting('threads')").fetchall()[0][0])


def can_hold(con: duckdb.DuckDBPyConnection, conditions: Sequence[str], left: Ints, right: Ints) -> list[Array]:
    """For each condition of Splink's SQL whether it can be TRUE of the pairs: 0 no, 2 perhaps, 1 NULL or 0."""
    compiler = _Compiler(con)
    tests = [compiler.test(sqlglot.parse_one(sql, read="duckdb"), True) for sql in conditions]
    kept = compiler.keep()
    found = [np.empty(len(left), dtype=np.int8) for _ in tests]

    def fill(at: int) -> None:
        part = slice(at, at + CHUNK)
        pairs = _Pairs(kept, left[part], right[part])
        for test, truths in zip(tests, found, strict=True):
            truths[part] = test(pairs)

    with ThreadPoolExecutor(_threads(con)) as pool:
        list(pool.map(fill, range(0, len(left), CHUNK)))
    return found


def _best(levels: Sequence[_Level], pairs: _Pairs, count: int) -> Floats:
    """The greatest weight that each pair can have in a comparison."""
    best = np.full(count, -np.inf)
    open_ = np.ones(count, dtype=bool)
    for level in levels:
        may = open_ & (level.may(pairs) == TRUE)
        best = np.where(may, np.maximum(best, level.weights(pairs)), best)
        open_ &= level.sure(pairs) != TRUE
    return best


class _Compiler:
    """Turns conditions into tests, and notes what they need to know of a record."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.places: dict[tuple[str, str], int] = {}  # what is kept of which SQL over one record → its place
        self.count = 0
        self.atoms: dict[tuple[str, bool], Test] = {}

    def comparison(self, comparison: Mapping[str, Any]) -> list[_Level]:
        found: list[_Level] = []
        for level in cast("list[dict[str, Any]]", comparison["comparison_levels"]):
            sql = str(level["sql_condition"])
            node = ex.true() if sql.strip().upper() == "ELSE" else sqlglot.parse_one(sql, read="duckdb")
            trained = trained_level(comparison, level)
            place = -1 if trained.tf is None else self.place("share", trained.tf.column)
            found.append(_Level(self.test(node, True), self.test(node, False), trained.weight, trained.tf, place))
        return found

    def place(self, kind: str, sql: str) -> int:
        if (kind, sql) not in self.places:
            self.places[kind, sql] = self.count
            self.count += len(_KINDS[kind].types)
        return self.places[kind, sql]

    def keep(self) -> list[Array]:
        """What was noted, by place, of all records."""
        (rows,) = self.con.sql(f"SELECT coalesce(max(rid), -1) + 1 FROM {RECORDS}").fetchall()[0]
        kept = [np.zeros(rows, dtype=t) for kind, _ in self.places for t in _KINDS[kind].types]
        columns = ["rid", *(_KINDS[kind].sql(sql) for kind, sql in self.places)]
        selected = ", ".join(f"{sql} AS k{i}" for i, sql in enumerate(columns))
        reader = self.con.cursor().execute(f"SELECT {selected} FROM {RECORDS}").to_arrow_reader(CHUNK)
        for batch in reader:
            rid = batch.column(0).to_numpy()
            for column, ((kind, _), place) in zip(batch.columns[1:], self.places.items(), strict=True):
                for i, values in enumerate(_KINDS[kind].read(column)):
                    kept[place + i][rid] = values
        return kept

    def test(self, node: ex.Expr, up: bool) -> Test:
        """The condition's upper or lower bound."""
        match node:
            case ex.Paren():
                return self.test(node.this, up)
            case ex.Boolean():
                value = np.int8(TRUE if node.this else FALSE)
                return lambda _: value
            case ex.Not():
                inner = self.test(node.this, not up)
                return lambda pairs: TRUE - inner(pairs)
            case ex.And() | ex.Or():
                a, b = self.test(node.this, up), self.test(node.expression, up)
                both = np.minimum if isinstance(node, ex.And) else np.maximum
                return lambda pairs: both(a(pairs), b(pairs))
            case ex.Coalesce() if len(node.expressions) == 1 and isinstance(node.expressions[0], ex.Boolean):
                inner, default = self.test(node.this, up), np.int8(TRUE if node.expressions[0].this else FALSE)
                return lambda pairs: np.where((found := inner(pairs)) == NULL, default, found)
            case _:
                key = (node.sql("duckdb"), up)
                if key not in self.atoms:
                    try:
                        found = self.atom(node, up)
                        self.atoms[key] = lambda pairs: pairs.once(key, lambda: found(pairs))
                    except _Unknown:
                        value = np.int8(TRUE if up else FALSE)
                        self.atoms[key] = lambda _: value
                return self.atoms[key]

    def atom(self, node: ex.Expr, up: bool) -> Test:
        match node:
            case ex.Is() if isinstance(node.expression, ex.Null):
                sql, side = _one_sided(node.this)
                place = self.place("hash", sql)
                return lambda pairs: np.where(pairs.side(place, side) == 0, np.int8(TRUE), np.int8(FALSE))
            case ex.ArrayOverlaps() if up:
                left, right = (self.place("list", sql) for sql in _both(node.this, node.expression))
                return lambda pairs: _share_an_item(*pairs.sides(left, right))
            case ex.Binary() if type(node) in _COMPARE:
                if found := self.similar(node, up):
                    return found
                compare = _COMPARE[type(node)]
                try:
                    a, b = self.number(node.this), self.number(node.expression)
                    return lambda pairs: _truth(compare(x := a(pairs), y := b(pairs)), np.isnan(x + y))
                except _Unknown:
                    if not isinstance(node, ex.EQ | ex.NEQ):
                        raise
                same = self.same(node.this, node.expression)
                return same if isinstance(node, ex.EQ) else lambda pairs: TRUE - same(pairs)
            case _:
                raise _Unknown

    def same(self, a: ex.Expr, b: ex.Expr) -> Test:
        """Whether two expressions have the same value."""
        sqls = _both(a, b)
        if len({str(self.type(sql)) for sql in sqls}) > 1:
            raise _Unknown
        left, right = (self.place("hash", sql) for sql in sqls)
        return lambda pairs: _same(*pairs.sides(left, right))

    def similar(self, node: "ex.Binary", up: bool) -> Test | None:
        """A similarity at least, or a distance at most, so much: texts that are the same surely are that similar."""
        call, bound = node.this, node.expression
        if not isinstance(bound, ex.Literal) or bound.is_string:
            return None
        most = float(bound.this)
        match call:
            case ex.JarowinklerSimilarity() if isinstance(node, ex.GTE | ex.GT):
                arguments = [call.this, call.expression]
                can: Callable[..., Array] = _jaro_winkler
            case ex.Levenshtein() if isinstance(node, ex.LTE | ex.LT):
                arguments, can = [call.this, call.expression], _edits
            case ex.Anonymous() if str(call.this).lower() == "damerau_levenshtein" and isinstance(node, ex.LTE | ex.LT):
                arguments, can = cast("list[ex.Expr]", call.expressions), _edits
            case _:
                return None
        left, right = (self.place("text", sql) for sql in _both(*arguments))
        if not up:
            if not (most > 0 if can is _edits else most < 1):
                raise _Unknown
            same = self.same(*arguments)
            return lambda pairs: np.where(_texts(pairs, left, right).left > 0, same(pairs), np.int8(FALSE))
        return lambda pairs: _truth(can(found := _texts(pairs, left, right), most), found.missing)

    def type(self, sql: str) -> object:
        return self.con.sql(f"SELECT {sql} FROM {RECORDS} LIMIT 0").types[0]

    def number(self, node: ex.Expr) -> Callable[[_Pairs], Any]:
        match node:
            case ex.Paren():
                return self.number(node.this)
            case ex.Abs():
                inner = self.number(node.this)
                return lambda pairs: np.abs(inner(pairs))
            case ex.Sub():
                a, b = self.number(node.this), self.number(node.expression)
                return lambda pairs: a(pairs) - b(pairs)
            case ex.Literal() if not node.is_string:
                value = float(node.this)
                return lambda _: value
            case _:
                sql, side = _one_sided(node)
                if str(self.type(sql)).lower() not in _NUMBERS:
                    raise _Unknown
                place = self.place("number", sql)
                return lambda pairs: pairs.side(place, side)


def _one_sided(node: ex.Expr) -> tuple[str, int]:
    """An expression over one record's columns, and which record's: 0 for the left."""
    sides = {column.name[-2:] for column in node.find_all(ex.Column)}
    if sides not in ({"_l"}, {"_r"}):
        raise _Unknown

    def without_side(part: ex.Expr) -> ex.Expr:
        return ex.column(part.name[:-2], quoted=True) if isinstance(part, ex.Column) else part

    plain = node.transform(without_side)
    return plain.sql("duckdb"), int(sides == {"_r"})


def _both(a: ex.Expr, b: ex.Expr) -> tuple[str, str]:
    """Expressions over the left and over the right record, which stand in either order."""
    (first, side), (second, other) = _one_sided(a), _one_sided(b)
    if side == other:
        raise _Unknown
    return (first, second) if side == 0 else (second, first)


def _truth(holds: Any, missing: Any) -> Truth:
    return np.where(missing, np.int8(NULL), np.where(holds, np.int8(TRUE), np.int8(FALSE)))


def _same(left: Array, right: Array) -> Truth:
    return _truth(left == right, (left == 0) | (right == 0))


def _share_an_item(left: Array, right: Array) -> Truth:
    return _truth((left & right) > 1, (left == 0) | (right == 0))


# ------------------------------------------------------------------------------------------------- texts


@dataclass(frozen=True)
class _Texts:
    """Two texts each: lengths, letters that the other lacks, and in which bits their first and last bytes differ."""

    left: Array
    right: Array
    less: Array
    more: Array
    first: Array
    last: Array
    missing: Array


def _texts(pairs: _Pairs, left: int, right: int) -> _Texts:
    def find() -> _Texts:
        (ll, rl), (la, ra), (lf, rf), (lz, rz) = (pairs.sides(left + i, right + i) for i in range(4))
        both = la & ra
        less, more = np.bitwise_count(la ^ both), np.bitwise_count(ra ^ both)
        return _Texts(ll, rl, less, more, lf ^ rf, lz ^ rz, (ll < 0) | (rl < 0))

    return pairs.once(("texts", left, right), find)


def _edits(t: _Texts, most: float) -> Array:
    """Can so many edits make one text of the other? Two neighbours exchanged count as one."""
    can = (t.less <= most) & (t.more <= most) & (np.abs(t.left - t.right) <= most)
    if most <= 1:
        # One edit, of two neighbours at most, does not reach both ends of a text that is longer than both.
        shorter = np.minimum(t.left, t.right)
        for n in (ENDS // 2, ENDS):
            ends = (1 << 8 * n) - 1
            can &= (shorter <= 2 * n) | (t.first & ends == 0) | (t.last & ends == 0)
    return can


def _jaro_winkler(t: _Texts, least: float) -> Array:
    """With c letters in common j = (c/left + c/right + 1) / 3 at most, and with p of them at the beginning
    j + p/10 · (1 - j).
    """  # fmt: skip
    common = np.minimum(t.left - t.less, t.right - t.more)
    alike = sum((t.first & ((1 << 8 * p) - 1) == 0).astype(np.int8) for p in range(1, ENDS + 1))
    wanted = np.array([(least - 0.1 * p) / (1 - 0.1 * p) * 3 - 1 - SLACK for p in range(ENDS + 1)])[alike]
    left, right = t.left.astype(np.float64), t.right.astype(np.float64)
    return common * (left + right) >= wanted * left * right


# ------------------------------------------------------------------------------------------ kept of a record


@dataclass(frozen=True)
class _Kind:
    """Arrays of which types are kept of an expression, how DuckDB computes it, and what is made of that."""

    types: tuple[npt.DTypeLike, ...]
    sql: Callable[[str], str]
    read: Callable[[Any], Sequence[Array]]


def _plain(values: Any) -> Sequence[Array]:
    return (values.to_numpy(zero_copy_only=False),)


def _text(values: Any) -> Sequence[Array]:
    """Bytes (-1 where there is no text), the set of them, the first and the last ones; zeros where there are none."""
    values = values.cast(pa.large_string())
    _, offsets, buffer = values.buffers()
    data = np.frombuffer(buffer if buffer is not None else b"", dtype=np.uint8)
    at = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    begin, end = at[:-1], at[1:]
    length = end - begin
    letters, first, last = (np.zeros(len(values), dtype=t) for t in (np.uint64, np.uint32, np.uint32))
    some = length > 0
    if some.any():
        letters[some] = np.bitwise_or.reduceat(_BIT[data[at[0] : at[-1]]], begin[some] - at[0])
    for i in range(ENDS):
        there = length > i
        first[there] |= data[begin[there] + i].astype(np.uint32) << np.uint32(8 * i)
        last[there] |= data[end[there] - 1 - i].astype(np.uint32) << np.uint32(8 * i)
    return np.where(values.is_null(), -1, length), letters, first, last


_KINDS = {
    "hash": _Kind(
        (np.uint64,), lambda e: f"CASE WHEN {e} IS NULL THEN 0 ELSE greatest(hash({e}), 1) END::UBIGINT", _plain
    ),
    "number": _Kind((np.float64,), lambda e: f"({e})::DOUBLE", _plain),
    # Bit 0 is set where there is a list; each item sets one of the others.
    "list": _Kind(
        (np.uint64,),
        lambda e: (
            f"CASE WHEN {e} IS NULL THEN 0 ELSE list_reduce(list_transform({e}, "
            "lambda x: 2::UBIGINT << (hash(x) % 63)), lambda x, y: x | y, 1::UBIGINT) END::UBIGINT"
        ),
        _plain,
    ),
    "text": _Kind((np.int32, np.uint64, np.uint32, np.uint32), lambda e: f"({e})::VARCHAR", _text),
    "share": _Kind(
        (np.float64,),
        lambda c: f"(SELECT tf FROM {quote('tf_' + c)} f WHERE f.value = {RECORDS}.{quote(c)})",
        _plain,
    ),
}
