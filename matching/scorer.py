"""The compiled scorer: a saved model as a plain Python function.

Splink takes a fifth of a second to score one record; the same arithmetic without a database takes microseconds. The
source of truth is the model's own SQL: each level's condition is parsed and written out as Python, so that a scorer
is Splink's result to the last rounding. SQL's three-valued logic is kept by translating a condition twice: `true(e)`
is a Python test that holds exactly where `e` is TRUE, `false(e)` where it is FALSE (NULL is neither).

A similarity that several levels use is computed once, where it is first needed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlglot
from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein
from sqlglot import expressions as ex

from matching.batch import Record
from matching.errors import ModelError


@dataclass(frozen=True, slots=True)
class LevelScore:
    """One comparison's outcome: the level's label and its weight in bits, term frequencies included."""

    comparison: str
    level: str
    weight: float


@dataclass(frozen=True, slots=True)
class Score:
    """`probability` = 2^weight / (1 + 2^weight); the weight is the prior's plus that of every level."""

    weight: float
    probability: float
    levels: tuple[LevelScore, ...]


class Adjustment(NamedTuple):
    """Adds weight · (log2_u - log2 max(share of either value, least)): `log2_u` is that of the level of equality."""

    column: str
    weight: float
    log2_u: float
    least: float


@dataclass(frozen=True, slots=True)
class TrainedLevel:
    """A level's weight in bits, to which the term frequency's is added."""

    label: str
    weight: float
    tf: Adjustment | None


def _list_has_any(left: Sequence[str] | None, right: Sequence[str] | None) -> bool | None:
    if left is None or right is None:
        return None
    return not set(left).isdisjoint(right)


def _substr(text: str | None, start: int, length: int) -> str | None:
    return None if text is None else text[start - 1 : start - 1 + length]


def _right(text: str | None, length: int) -> str | None:
    return None if text is None else text[-length:]


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        return None


def _none_safe(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def safe(left: Any, right: Any) -> Any:
        return None if left is None or right is None else function(left, right)

    return safe


def _nothing_unlike(function: Callable[[str, str], float]) -> Callable[[str, str], float]:
    """To DuckDB two empty texts are wholly unlike, to rapidfuzz wholly alike."""
    return lambda left, right: function(left, right) if left else 0.0


_HELPERS: dict[str, Any] = {
    "jaro_winkler_similarity": _none_safe(_nothing_unlike(JaroWinkler.similarity)),
    "jaro_similarity": _none_safe(_nothing_unlike(Jaro.similarity)),
    "levenshtein": _none_safe(Levenshtein.distance),
    "damerau_levenshtein": _none_safe(DamerauLevenshtein.distance),
    "list_has_any": _list_has_any,
}
_COMPARE: dict[type[ex.Expr], str] = {ex.EQ: "==", ex.NEQ: "!=", ex.LT: "<", ex.LTE: "<=", ex.GT: ">", ex.GTE: ">="}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class _Compiler:
    """Writes the body of one comparison's function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: list[str] = []
        self.values: dict[str, str] = {}
        self.columns: dict[str, str] = {}

    def refuse(self, node: ex.Expr) -> ModelError:
        return ModelError(
            f"comparison {self.name!r} uses SQL that the compiled scorer does not know: {node.sql('duckdb')[:80]!r}; "
            "use =, AND, OR, NOT, IS NULL, substr, length, right, abs, jaro_winkler_similarity, levenshtein, "
            "damerau_levenshtein or list_has_any"
        )

    def column(self, node: ex.Column) -> str:
        name = node.name
        side, base = name[-1], name[:-2]
        if name[-2:] not in ("_l", "_r"):
            raise self.refuse(node)
        if name not in self.columns:
            self.columns[name] = f"c_{len(self.columns)}"
            self.lines.append(f"{self.columns[name]} = {'left' if side == 'l' else 'right'}.get({base!r})")
        return self.columns[name]

    def value(self, node: ex.Expr) -> str:
        """A Python expression for a scalar; calls are kept in variables."""
        match node:
            case ex.Paren():
                return self.value(node.this)
            case ex.Column():
                return self.column(node)
            case ex.Literal():
                return repr(str(node.this)) if node.is_string else str(node.this)
            case ex.Neg():
                return f"-{self.value(node.this)}"
            case ex.Sub():
                return self.once("sub", node, f"_sub({self.value(node.this)}, {self.value(node.expression)})")
            case ex.Abs():
                return self.once("abs", node, f"_abs({self.value(node.this)})")
            case ex.Length():
                return self.once("len", node, f"_len({self.value(node.this)})")
            case ex.Substring():
                start, length = node.args["start"], node.args["length"]
                return self.once(
                    "substr", node, f"_substr({self.value(node.this)}, {self.value(start)}, {self.value(length)})"
                )
            case ex.Right():
                return self.once("right", node, f"_right({self.value(node.this)}, {self.value(node.expression)})")
            case ex.TryCast():
                return self.once("int", node, f"_integer({self.value(node.this)})")
            case ex.Levenshtein():
                return self.call("levenshtein", node, [node.this, node.expression])
            case ex.ArrayOverlaps():
                return self.call("list_has_any", node, [node.this, node.expression])
            case ex.JarowinklerSimilarity():
                return self.call("jaro_winkler_similarity", node, [node.this, node.expression])
            case ex.Anonymous():
                return self.call(str(node.this).lower(), node, cast("list[ex.Expr]", node.expressions))
            case _:
                raise self.refuse(node)

    def call(self, function: str, node: ex.Expr, arguments: Sequence[ex.Expr]) -> str:
        if function not in _HELPERS:
            raise self.refuse(node)
        return self.once(function, node, f"{function}({', '.join(self.value(a) for a in arguments)})")

    def once(self, kind: str, node: ex.Expr, code: str) -> str:
        del kind, node
        if code not in self.values:
            self.values[code] = f"v_{len(self.values)}"
            self.lines.append(f"{self.values[code]} = {code}")
        return self.values[code]

    def true(self, node: ex.Expr) -> str:
        """A test that holds where the condition is TRUE."""
        match node:
            case ex.Paren():
                return self.true(node.this)
            case ex.And():
                return f"({self.true(node.this)} and {self.true(node.expression)})"
            case ex.Or():
                return f"({self.true(node.this)} or {self.true(node.expression)})"
            case ex.Not():
                return self.false(node.this)
            case ex.Boolean():
                return "True" if node.this else "False"
            case ex.Is():
                return f"({self.value(node.this)} is None)"
            case ex.Coalesce() if isinstance(default := node.expressions[0], ex.Boolean):
                return f"(not {self.false(node.this)})" if default.this else self.true(node.this)
            case _ if type(node) in _COMPARE:
                return self.compare(cast("ex.Binary", node), _COMPARE[type(node)])
            case _:
                return f"({self.value(node)} is True)"

    def false(self, node: ex.Expr) -> str:
        """A test that holds where the condition is FALSE."""
        match node:
            case ex.Paren():
                return self.false(node.this)
            case ex.And():
                return f"({self.false(node.this)} or {self.false(node.expression)})"
            case ex.Or():
                return f"({self.false(node.this)} and {self.false(node.expression)})"
            case ex.Not():
                return self.true(node.this)
            case ex.Boolean():
                return "False" if node.this else "True"
            case ex.Is():
                return f"({self.value(node.this)} is not None)"
            case ex.Coalesce() if isinstance(default := node.expressions[0], ex.Boolean):
                return self.false(node.this) if default.this else f"(not {self.true(node.this)})"
            case _ if type(node) in _COMPARE:
                return self.compare(cast("ex.Binary", node), _OPPOSITE[_COMPARE[type(node)]])
            case _:
                return f"({self.value(node)} is False)"

    def compare(self, node: "ex.Binary", operator: str) -> str:
        left, right = self.value(node.this), self.value(node.expression)
        known = [f"{side} is not None" for side in (left, right) if side.isidentifier()]
        return "(" + " and ".join([*known, f"{left} {operator} {right}"]) + ")"


def _abs(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _len(value: str | None) -> int | None:
    return None if value is None else len(value)


def _sub(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _compile(comparison: Mapping[str, Any]) -> Callable[[Record, Record], int]:
    """The index of a pair's level as a function of two normalised records."""
    compiler = _Compiler(str(comparison["output_column_name"]))
    body = compiler.lines
    levels = cast("list[dict[str, Any]]", comparison["comparison_levels"])
    for index, level in enumerate(levels):
        sql = str(level["sql_condition"])
        if sql.strip().upper() == "ELSE":
            body.append(f"return {index}")
            break
        test = compiler.true(sqlglot.parse_one(sql, read="duckdb"))
        body.append(f"if {test}: return {index}")
    else:
        body.append(f"return {len(levels)}")
    source = "def level(left, right):\n" + "\n".join(f"    {line}" for line in body)
    namespace: dict[str, Any] = {
        **_HELPERS,
        "_substr": _substr,
        "_right": _right,
        "_integer": _integer,
        "_abs": _abs,
        "_len": _len,
        "_sub": _sub,
    }
    exec(compile(source, f"<comparison {compiler.name}>", "exec"), namespace)  # noqa: S102 (names and literals only, from a parsed expression)
    return cast("Callable[[Record, Record], int]", namespace["level"])


class Scorer:
    """Scores pairs of normalised records as the model would in Splink."""

    def __init__(self, settings: Mapping[str, Any], term_frequencies: Mapping[str, Mapping[str, float]]) -> None:
        """`settings`: a trained Splink model; `term_frequencies`: for each column the share of each value."""
        prior = float(settings["probability_two_random_records_match"])
        self._prior = math.log2(prior / (1 - prior))
        self._tf = term_frequencies
        comparisons = cast("list[dict[str, Any]]", settings["comparisons"])
        self._comparisons = [
            (str(c["output_column_name"]), _compile(c), tuple(trained_level(c, lv) for lv in c["comparison_levels"]))
            for c in comparisons
        ]

    @classmethod
    def load(cls, directory: Path) -> "Scorer":
        """The scorer of a saved model. Raises ModelError where there is none, or of another version."""
        from matching.model import Model

        model = Model.load(directory)
        return cls(model.settings, model.term_frequencies)

    def weight(self, left: Record, right: Record) -> float:
        """The match weight in bits; as `score`, without the explanation."""
        total = self._prior
        for _, level_of, levels in self._comparisons:
            level = levels[level_of(left, right)]
            total += level.weight
            if level.tf is not None:
                total += self._adjustment(level.tf, left, right)
        return total

    def score(self, left: Record, right: Record) -> Score:
        """Weight, probability and every comparison's level. A column that a record lacks counts as missing."""
        found: list[LevelScore] = []
        total = self._prior
        for name, level_of, levels in self._comparisons:
            level = levels[level_of(left, right)]
            weight = level.weight
            if level.tf is not None:
                weight += self._adjustment(level.tf, left, right)
            total += weight
            found.append(LevelScore(name, level.label, weight))
        return Score(total, probability(total), tuple(found))

    @property
    def prior_weight(self) -> float:
        """log2 of the odds that two random records match."""
        return self._prior

    def _adjustment(self, tf: Adjustment, left: Record, right: Record) -> float:
        column, weight, log2_u, least = tf
        table = self._tf.get(column, {})
        shares = [table.get(cast("str", side.get(column))) for side in (left, right)]
        known = [share for share in shares if share is not None]
        return weight * (log2_u - math.log2(max(*known, least))) if known else 0.0


def probability(weight: float) -> float:
    """2^w / (1 + 2^w), without overflow."""
    if weight >= 0:
        return 1.0 / (1.0 + 2.0 ** -min(weight, 1000.0))
    odds = 2.0 ** max(weight, -1000.0)
    return odds / (1.0 + odds)


def trained_level(comparison: Mapping[str, Any], level: Mapping[str, Any]) -> TrainedLevel:
    """A level of a trained Splink model's comparison."""
    label = str(level.get("label_for_charts", level["sql_condition"]))
    if level.get("is_null_level"):
        return TrainedLevel(label, 0.0, None)
    m, u = float(level["m_probability"]), float(level["u_probability"])
    tf: Adjustment | None = None
    if column := level.get("tf_adjustment_column"):
        exact = _exact_u(comparison, level, str(column))
        weight, least = (
            float(level.get(f"tf_{k}", d)) for k, d in (("adjustment_weight", 1.0), ("minimum_u_value", 0.0))
        )
        tf = Adjustment(str(column), weight, math.log2(exact), least)
    return TrainedLevel(label, math.log2(m / u), tf)


def _exact_u(comparison: Mapping[str, Any], level: Mapping[str, Any], column: str) -> float:
    """Splink adjusts against u of the level that is the plain equality of the column."""
    if level.get("disable_tf_exact_match_detection"):
        return float(level["u_probability"])
    for other in cast("list[dict[str, Any]]", comparison["comparison_levels"]):
        sql = str(other["sql_condition"]).replace('"', "").replace(" ", "").lower()
        if sql in (f"{column}_l={column}_r".lower(), f"{column}_r={column}_l".lower()):
            return float(other["u_probability"])
    raise ModelError(
        f"comparison {comparison['output_column_name']!r} adjusts for term frequencies of {column!r} without a level "
        f"that is their equality; add one, or leave the adjustment out"
    )
