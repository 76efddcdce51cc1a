"""The compiled scorer: a saved model as a plain Python function.

Splink takes a fifth of a second to score one record; the same arithmetic without a database takes microseconds. The
source of truth is the model's own SQL: each level's condition is parsed and written out as Python, so that a scorer
is Splink's result to the last rounding. SQL's three-valued logic is kept by translating a condition twice: `true(e)`
is a Python test that holds exactly where `e` is TRUE, `false(e)` where it is FALSE (NULL is neither).

A similarity that several levels use is computed once, where it is first needed. Most candidates of a record are far
from a match: what can weigh most is compared first, and a pair that can no longer reach what is asked for is left.
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

    def bits(self, share: float) -> float:
        """What is added where the commoner value has this share; nothing where neither's is known."""
        return self.weight * (self.log2_u - math.log2(max(share, self.least))) if share else 0.0


@dataclass(frozen=True, slots=True)
class TrainedLevel:
    """A level's weight in bits, to which the term frequency's is added."""

    label: str
    weight: float
    tf: Adjustment | None


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _overlap(left: Sequence[str], right: Sequence[str]) -> bool:
    return not set(left).isdisjoint(right)


def _jaro(left: str, right: str) -> float:
    return Jaro.similarity(left, right) if left else 0.0


def _jaro_winkler(left: str, right: str) -> float:
    """To DuckDB two empty texts are wholly unlike, to rapidfuzz wholly alike."""
    return JaroWinkler.similarity(left, right) if left else 0.0


_HELPERS: dict[str, Any] = {
    "jaro_winkler_similarity": _jaro_winkler,
    "jaro_similarity": _jaro,
    "levenshtein": Levenshtein.distance,
    "damerau_levenshtein": DamerauLevenshtein.distance,
    "list_has_any": _overlap,
    "_integer": _integer,
}
SLACK = 1e-9  # bits; the same sum in another order
_COMPARE: dict[type[ex.Expr], str] = {ex.EQ: "==", ex.NEQ: "!=", ex.LT: "<", ex.LTE: "<=", ex.GT: ">", ex.GTE: ">="}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class _Compiler:
    """Writes conditions as Python. What they need is computed when it is first asked for, once for all of them.

    A value is two texts: one that computes it unless it has been, and its name, for when it surely has been.
    """

    def __init__(self) -> None:
        self.name = ""
        self.names: dict[str, str] = {}  # how it is computed → name

    def refuse(self, node: ex.Expr) -> ModelError:
        return ModelError(
            f"comparison {self.name!r} uses SQL that the compiled scorer does not know: {node.sql('duckdb')[:80]!r}; "
            "use =, AND, OR, NOT, IS NULL, substr, length, right, abs, jaro_winkler_similarity, levenshtein, "
            "damerau_levenshtein or list_has_any"
        )

    def once(self, code: str) -> tuple[str, str]:
        name = self.names.setdefault(code, f"v_{len(self.names)}")
        return f"({name} if {name} is not _unknown else ({name} := {code}))", name

    def of(self, code: str, *arguments: ex.Expr) -> tuple[str, str]:
        """`code` with the arguments in place of {}; None where one of them is."""
        values = [self.value(argument) for argument in arguments]
        missing = " or ".join(f"{find} is None" for find, name in values if name.isidentifier())
        computed = code.format(*(name for _, name in values))
        return self.once(f"None if {missing} else {computed}" if missing else computed)

    def column(self, node: ex.Column) -> tuple[str, str]:
        base, side = node.name[:-2], {"_l": "left", "_r": "right"}.get(node.name[-2:])
        if side is None:
            raise self.refuse(node)
        return self.once(f"{side}.get({base!r})")

    def value(self, node: ex.Expr) -> tuple[str, str]:
        match node:
            case ex.Paren():
                return self.value(node.this)
            case ex.Column():
                return self.column(node)
            case ex.Literal():
                text = repr(str(node.this)) if node.is_string else str(node.this)
                return text, text
            case ex.Neg() if isinstance(node.this, ex.Literal):
                return f"-{node.this.this}", f"-{node.this.this}"
            case ex.Neg():
                return self.of("-{}", node.this)
            case ex.Sub():
                return self.of("{} - {}", node.this, node.expression)
            case ex.Abs():
                return self.of("abs({})", node.this)
            case ex.Length():
                return self.of("len({})", node.this)
            case ex.Substring():
                start, length = (self.whole(node, name) for name in ("start", "length"))
                return self.of(f"{{}}[{start - 1}:{start - 1 + length}]", node.this)
            case ex.Right():
                return self.of(f"{{}}[-{self.whole(node, 'expression')}:]", node.this)
            case ex.TryCast():
                return self.of("_integer({})", node.this)
            case ex.Levenshtein():
                return self.of("levenshtein({}, {})", node.this, node.expression)
            case ex.ArrayOverlaps():
                return self.of("list_has_any({}, {})", node.this, node.expression)
            case ex.JarowinklerSimilarity():
                return self.of("jaro_winkler_similarity({}, {})", node.this, node.expression)
            case ex.Anonymous() if (function := str(node.this).lower()) in _HELPERS:
                arguments = cast("list[ex.Expr]", node.expressions)
                return self.of(f"{function}({', '.join('{}' for _ in arguments)})", *arguments)
            case _:
                raise self.refuse(node)

    def whole(self, node: ex.Expr, argument: str) -> int:
        found = node.args.get(argument)
        if not isinstance(found, ex.Literal) or found.is_string:
            raise self.refuse(node)
        return int(str(found.this))

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
                return f"({self.value(node.this)[0]} is None)"
            case ex.Coalesce() if isinstance(default := node.expressions[0], ex.Boolean):
                return f"(not {self.false(node.this)})" if default.this else self.true(node.this)
            case _ if type(node) in _COMPARE:
                return self.compare(cast("ex.Binary", node), _COMPARE[type(node)])
            case _:
                return f"({self.value(node)[0]} is True)"

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
                return f"({self.value(node.this)[0]} is not None)"
            case ex.Coalesce() if isinstance(default := node.expressions[0], ex.Boolean):
                return self.false(node.this) if default.this else f"(not {self.true(node.this)})"
            case _ if type(node) in _COMPARE:
                return self.compare(cast("ex.Binary", node), _OPPOSITE[_COMPARE[type(node)]])
            case _:
                return f"({self.value(node)[0]} is False)"

    def compare(self, node: "ex.Binary", operator: str) -> str:
        sides = (self.value(node.this), self.value(node.expression))
        known = [f"{find} is not None" for find, name in sides if name.isidentifier()]
        return "(" + " and ".join([*known, f"{sides[0][1]} {operator} {sides[1][1]}"]) + ")"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A trained comparison. `most`: the greatest weight of a pair in it, in bits."""

    name: str
    conditions: tuple[str, ...]
    levels: tuple[TrainedLevel, ...]
    most: float


def _comparison(comparison: Mapping[str, Any], rarest: Mapping[str, float]) -> _Comparison:
    described = cast("list[dict[str, Any]]", comparison["comparison_levels"])
    levels = tuple(trained_level(comparison, level) for level in described)
    most = max(lv.weight + (max(0.0, lv.tf.bits(1.0), lv.tf.bits(rarest.get(lv.tf.column, 1.0))) if lv.tf else 0.0)
               for lv in levels)  # fmt: skip
    conditions = tuple(str(level["sql_condition"]) for level in described)
    return _Comparison(str(comparison["output_column_name"]), conditions, levels, most)


def _compile(
    comparisons: Sequence[_Comparison], prior: float, adjust: Callable[[Adjustment, Record, Record], float]
) -> Callable[[Record, Record, float], tuple[int, ...] | None]:
    """The index of each comparison's level as a function of two records; None where their weight is below `least`.

    What can weigh most is looked at first, and the rest only while it could still lift the pair that high.
    """
    compiler = _Compiler()
    body: list[str] = []
    order = sorted(range(len(comparisons)), key=lambda k: -comparisons[k].most)
    names: dict[str, Any] = {**_HELPERS, "_unknown": object(), "_adjust": adjust}
    rest = sum(c.most for c in comparisons) + SLACK
    for k in order:
        comparison = comparisons[k]
        compiler.name = comparison.name
        for index, sql in enumerate(comparison.conditions):
            otherwise = sql.strip().upper() == "ELSE"
            test = "True" if otherwise else compiler.true(sqlglot.parse_one(sql, read="duckdb"))
            body.append(f"{'elif' if index else 'if'} {test}: n_{k} = {index}")
        body.append(f"else: n_{k} = {len(comparison.conditions)}")
        body.append(f"total += w_{k}[n_{k}]")
        names |= {f"w_{k}": [lv.weight for lv in comparison.levels], f"tf_{k}": [lv.tf for lv in comparison.levels]}
        if any(lv.tf for lv in comparison.levels):
            body.append(f"if tf_{k}[n_{k}]: total += _adjust(tf_{k}[n_{k}], left, right)")
        rest -= comparison.most
        body.append(f"if total + {rest!r} < least: return None")
    body.append(f"return ({''.join(f'n_{k}, ' for k in range(len(comparisons)))})")
    unknown = "".join(f"{name} = " for name in compiler.names.values())
    lines = [f"{unknown}_unknown", f"total = {prior!r}", *body]
    source = "def levels(left, right, least):\n" + "\n".join(f"    {line}" for line in lines)
    exec(compile(source, "<comparisons>", "exec"), names)  # noqa: S102 (names and literals only, from a parsed expression)
    return cast("Callable[[Record, Record, float], tuple[int, ...] | None]", names["levels"])


class Scorer:
    """Scores pairs of normalised records as the model would in Splink."""

    def __init__(self, settings: Mapping[str, Any], term_frequencies: Mapping[str, Mapping[str, float]]) -> None:
        """`settings`: a trained Splink model; `term_frequencies`: for each column the share of each value."""
        prior = float(settings["probability_two_random_records_match"])
        self._prior = math.log2(prior / (1 - prior))
        self._tf = term_frequencies
        rarest = {column: min(table.values()) for column, table in term_frequencies.items() if table}
        comparisons = cast("list[dict[str, Any]]", settings["comparisons"])
        self._comparisons = [_comparison(c, rarest) for c in comparisons]
        self._levels = _compile(self._comparisons, self._prior, self._adjustment)

    @classmethod
    def load(cls, directory: Path) -> "Scorer":
        """The scorer of a saved model. Raises ModelError where there is none, or of another version."""
        from matching.model import Model

        model = Model.load(directory)
        return cls(model.settings, model.term_frequencies)

    def weight(self, left: Record, right: Record) -> float:
        """The match weight in bits; as `score`, without the explanation."""
        return sum((level.weight for level in self._found(left, right, -math.inf) or ()), self._prior)

    def score(self, left: Record, right: Record) -> Score:
        """Weight, probability and every comparison's level. A column that a record lacks counts as missing."""
        levels = self._found(left, right, -math.inf) or ()
        total = sum((level.weight for level in levels), self._prior)
        return Score(total, probability(total), levels)

    def score_from(self, least: float, left: Record, right: Record) -> Score | None:
        """The score of a pair whose weight is at least so many bits; of another it is known sooner that it is not."""
        levels = self._found(left, right, least)
        if levels is None:
            return None
        total = sum((level.weight for level in levels), self._prior)
        return Score(total, probability(total), levels) if total >= least else None

    def _found(self, left: Record, right: Record, least: float) -> tuple[LevelScore, ...] | None:
        at = self._levels(left, right, least)
        if at is None:
            return None
        found: list[LevelScore] = []
        for comparison, index in zip(self._comparisons, at, strict=True):
            level = comparison.levels[index]
            adjustment = self._adjustment(level.tf, left, right) if level.tf else 0.0
            found.append(LevelScore(comparison.name, level.label, level.weight + adjustment))
        return tuple(found)

    @property
    def prior_weight(self) -> float:
        """log2 of the odds that two random records match."""
        return self._prior

    def _adjustment(self, tf: Adjustment, left: Record, right: Record) -> float:
        table = self._tf.get(tf.column, {})
        shares = (table.get(cast("str", left.get(tf.column))), table.get(cast("str", right.get(tf.column))))
        return tf.bits(max(share or 0.0 for share in shares))


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
