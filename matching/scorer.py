"""The compiled scorer: a saved model as a plain Python function.

Splink takes a fifth of a second to score one record; the same arithmetic without a database takes microseconds. The
source of truth is the model's own SQL: each level's condition is parsed and written out as Python, so that a scorer
is Splink's result to the last rounding. SQL's three-valued logic is kept by translating a condition in two ways: to a
Python test that holds exactly where it is TRUE, or exactly where it is FALSE (NULL is neither).

A similarity that several levels use is computed once, where it is first needed. Most candidates of a record are far
from a match: what tells most is compared first, and a pair that can no longer reach what is asked for is left.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlglot
from rapidfuzz.distance import DamerauLevenshtein, Jaro, JaroWinkler, Levenshtein
from sqlglot import expressions as ex

from matching.batch import Record
from matching.errors import ModelError


class LevelScore(NamedTuple):
    """One comparison's outcome: the level's label and its weight in bits, term frequencies included."""

    comparison: str
    level: str
    weight: float


class Score(NamedTuple):
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
        """What is added where the commoner value has this share: the less, the more common it is."""
        return self.weight * (self.log2_u - math.log2(max(share, self.least)))


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


def _adjusted(bits: Mapping[str, float], left: str, right: str) -> float:
    """Bits of the commoner of two values; nothing where neither is known."""
    if left == right:
        return bits.get(left, 0.0)
    return min((bits[value] for value in (left, right) if value in bits), default=0.0)


_HELPERS: dict[str, Any] = {
    "jaro_winkler": JaroWinkler.similarity,
    "jaro": Jaro.similarity,
    "levenshtein": Levenshtein.distance,
    "damerau_levenshtein": DamerauLevenshtein.distance,
    "overlap": _overlap,
    "integer": _integer,
    "adjusted": _adjusted,
}
#: Functions of SQL as Python. To DuckDB two empty texts are wholly unlike, to rapidfuzz wholly alike.
_FUNCTIONS = {
    "jaro_winkler_similarity": "(jaro_winkler({0}, {1}) if {0} else 0.0)",
    "jaro_similarity": "(jaro({0}, {1}) if {0} else 0.0)",
    "levenshtein": "levenshtein({0}, {1}, score_cutoff={2})",
    "damerau_levenshtein": "damerau_levenshtein({0}, {1})",
    # Most lists hold one text.
    "list_has_any": "({0}[0] in {1} if len({0}) == 1 else overlap({0}, {1}))",
}
SLACK = 1e-9  # bits; the same sum in another order
#: Bits that it must tell that two values are not the same, to be looked at before the rest.
WORTH_A_LOOK = 3.0
_COMPARE: dict[type[ex.Expr], str] = {ex.EQ: "==", ex.NEQ: "!=", ex.LT: "<", ex.LTE: "<=", ex.GT: ">", ex.GTE: ">="}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


#: What is known on the way to a place: names whose value has been computed, and, after a !, names that are not None.
_Facts = frozenset[str]


class _Value(NamedTuple):
    """A value as Python: what finds it, its name from then on, and what is known then."""

    find: str
    name: str
    known: _Facts


class _Test(NamedTuple):
    """A test as Python, and what is known where it holds and where it does not."""

    code: str
    held: _Facts
    failed: _Facts


class _Operands(NamedTuple):
    """Values of which none may be None: what finds those that could be, and how each is written once none is.

    `first` is known where one is None, `all` where none is.
    """

    checks: list[str]
    texts: list[str]
    names: list[str]
    first: _Facts
    all: _Facts


class _Compiler:
    """Writes conditions as Python, in the order in which they run.

    What they need is computed where it is first asked for, once for all of them. What is known by then is not asked
    again: that a value has been computed, and that it is not None.
    """

    def __init__(self, conditions: Iterable[ex.Expr]) -> None:
        self.name = ""
        self.names: dict[str, str] = {}  # SQL → name
        self.columns: dict[str, str] = {}  # name → what reads it, which is done before the comparison that asks first
        self.parts: dict[str, list[str]] = {}  # name → those that are not None where it is not
        self.written: set[str] = set()
        self.doubtful: set[str] = set()  # asked for where it may or may not have been computed
        conditions = list(conditions)
        tests = Counter(test.sql() for whole in conditions for test in whole.find_all(ex.And, ex.Or))
        self.repeated = {sql for sql, times in tests.items() if times > 1}
        self.furthest = _furthest(conditions)

    def refuse(self, node: ex.Expr) -> ModelError:
        return ModelError(
            f"comparison {self.name!r} uses SQL that the compiled scorer does not know: {node.sql('duckdb')[:80]!r}; "
            "use =, AND, OR, NOT, IS NULL, substr, length, right, abs, jaro_winkler_similarity, levenshtein, "
            "damerau_levenshtein or list_has_any"
        )

    def named(self, node: ex.Expr) -> str:
        return self.names.setdefault(node.sql(), f"v_{len(self.names)}")

    def once(self, name: str, code: str) -> str:
        """Computes what it names, unless that has been done."""
        if name not in self.written:
            self.written.add(name)
            return f"({name} := {code})"
        self.doubtful.add(name)
        return f"({name} if {name} is not _unknown else ({name} := {code}))"

    def present(self, name: str) -> _Facts:
        """What is known where a value is not None."""
        return _Facts({name, f"!{name}"}).union(*map(self.present, self.parts.get(name, [])))

    def operands(self, nodes: Sequence[ex.Expr], known: _Facts) -> _Operands:
        checks: list[str] = []
        texts: list[str] = []
        names: list[str] = []
        first: _Facts | None = None
        # A value that cannot be None is computed where it is used, which is after all checks.
        used: _Facts = _Facts()
        for node in nodes:
            value = self.value(node, known)
            if not value.name.isidentifier():
                texts.append(value.name)
                continue
            names.append(value.name)
            if f"!{value.name}" in value.known:
                texts.append(value.find)
                used |= value.known
                continue
            checks.append(value.find)
            texts.append(value.name)
            first = first or value.known
            known = value.known | self.present(value.name)
        every = known | used
        return _Operands(checks, texts, names, every if first is None else first, every)

    def of(self, node: ex.Expr, known: _Facts, code: str, *arguments: ex.Expr, total: bool = True) -> _Value:
        """`code` with the arguments in place of {}; None where one of them is, else never where it is `total`."""
        name = self.named(node)
        if name in known:
            return _Value(name, name, known)
        found = self.operands(arguments, known)
        self.parts[name] = found.names
        computed = code.format(*found.texts)
        if found.checks:
            computed = f"None if {' or '.join(f'{find} is None' for find in found.checks)} else {computed}"
        sure = {name, f"!{name}"} if total and not found.checks else {name}
        return _Value(self.once(name, computed), name, found.first | sure)

    def value(self, node: ex.Expr, known: _Facts) -> _Value:
        match node:
            case ex.Paren():
                return self.value(node.this, known)
            case ex.Column():
                side = {"_l": "left", "_r": "right"}.get(node.name[-2:])
                if side is None:
                    raise self.refuse(node)
                name = self.named(node)
                self.columns[name] = f"{side}.get({node.name[:-2]!r})"
                return _Value(name, name, known | {name})
            case ex.Literal():
                text = repr(str(node.this)) if node.is_string else str(node.this)
                return _Value(text, text, known)
            case ex.Neg() if isinstance(node.this, ex.Literal):
                return _Value(f"-{node.this.this}", f"-{node.this.this}", known)
            case ex.Neg():
                return self.of(node, known, "-{}", node.this)
            case ex.Sub():
                return self.of(node, known, "{} - {}", node.this, node.expression)
            case ex.Abs():
                return self.of(node, known, "abs({})", node.this)
            case ex.Length():
                return self.of(node, known, "len({})", node.this)
            case ex.Substring():
                start, length = (self.whole(node, name) for name in ("start", "length"))
                return self.of(node, known, f"{{}}[{start - 1}:{start - 1 + length}]", node.this)
            case ex.Right():
                return self.of(node, known, f"{{}}[-{self.whole(node, 'expression')}:]", node.this)
            case ex.TryCast():
                return self.of(node, known, "integer({})", node.this, total=False)
            case ex.Levenshtein():
                code = _FUNCTIONS["levenshtein"].format("{0}", "{1}", self.furthest.get(node.sql()))
                return self.of(node, known, code, node.this, node.expression)
            case ex.ArrayOverlaps():
                return self.of(node, known, _FUNCTIONS["list_has_any"], node.this, node.expression)
            case ex.JarowinklerSimilarity():
                return self.of(node, known, _FUNCTIONS["jaro_winkler_similarity"], node.this, node.expression)
            case ex.Anonymous() if (code := _FUNCTIONS.get(str(node.this).lower())) and len(node.expressions) == 2:
                return self.of(node, known, code, *node.expressions)
            case _:
                raise self.refuse(node)

    def whole(self, node: ex.Expr, argument: str) -> int:
        found = node.args.get(argument)
        if not isinstance(found, ex.Literal) or found.is_string:
            raise self.refuse(node)
        return int(str(found.this))

    def test(self, node: ex.Expr, known: _Facts, wanted: bool = True) -> _Test:
        """A test that holds exactly where the condition is TRUE, or where it is FALSE if that is wanted."""
        match node:
            case ex.Paren():
                return self.test(node.this, known, wanted)
            case ex.Not():
                return self.test(node.this, known, not wanted)
            case ex.Boolean():
                return _Test(str(bool(node.this) is wanted), known, known)
            case ex.And() | ex.Or():
                return self.both(node, known, wanted)
            case ex.Is():
                return self.missing(node, known, wanted)
            case ex.Coalesce() if isinstance(default := node.expressions[0], ex.Boolean):
                if bool(default.this) is not wanted:
                    return self.test(node.this, known, wanted)
                code, held, failed = self.test(node.this, known, not wanted)
                return _Test(f"(not {code})", failed, held)
            case ex.Binary() if type(node) in _COMPARE:
                found = self.operands((node.this, node.expression), known)
                operator = _COMPARE[type(node)] if wanted else _OPPOSITE[_COMPARE[type(node)]]
                compared = f"{found.texts[0]} {operator} {found.texts[1]}"
                code = " and ".join([*(f"{find} is not None" for find in found.checks), compared])
                return _Test(f"({code})", found.all, found.first)
            case _:
                value = self.value(node, known)
                return _Test(f"({value.find} is {wanted})", value.known | self.present(value.name), value.known)

    def both(self, node: "ex.And | ex.Or", known: _Facts, wanted: bool) -> _Test:
        """A test of two, which is computed once for all conditions that it is a part of."""
        name = self.named(node) if wanted and node.sql() in self.repeated else ""
        a = self.test(node.this, known, wanted)
        if isinstance(node, ex.And) is wanted:
            b = self.test(node.expression, a.held, wanted)
            found = _Test(f"({a.code} and {b.code})", b.held, a.failed & b.failed)
        else:
            b = self.test(node.expression, a.failed, wanted)
            found = _Test(f"({a.code} or {b.code})", a.held & b.held, b.failed)
        if not name:
            return found
        code = name if name in known else self.once(name, found.code)
        return _Test(code, found.held | {name}, found.failed | {name})

    def missing(self, node: "ex.Is", known: _Facts, wanted: bool) -> _Test:
        value = self.value(node.this, known)
        present = value.known | self.present(value.name)
        if f"!{value.name}" in known:
            return _Test(str(not wanted), present, present)
        code = f"({value.find} is {'None' if wanted else 'not None'})"
        return _Test(code, value.known, present) if wanted else _Test(code, present, value.known)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A trained comparison. `most`: the greatest weight of a pair in it, in bits; `tells`: how far below it the pairs
    that are compared are on the average. `unlike`: the greatest weight where both have not the same in `column`.
    """

    name: str
    conditions: tuple[ex.Expr, ...]
    levels: tuple[TrainedLevel, ...]
    most: float
    tells: float
    column: str
    unlike: float


def _furthest(conditions: Iterable[ex.Expr]) -> dict[str, int]:
    """The greatest number that each edit distance (SQL) is compared with: one beyond it need not be known exactly."""
    found: dict[str, int | None] = {}
    for distance in (node for whole in conditions for node in whole.find_all(ex.Levenshtein)):
        test, sql = distance.parent, distance.sql()
        bound = test.expression if isinstance(test, ex.Binary) and type(test) in _COMPARE else None
        most, known = bound.name if isinstance(bound, ex.Literal) and not bound.is_string else "", found.get(sql, 0)
        found[sql] = max(known, int(most)) if most.isdecimal() and known is not None else None
    return {sql: most for sql, most in found.items() if most is not None}


def _parsed(condition: str) -> ex.Expr:
    if condition.strip().upper() == "ELSE":
        return ex.true()
    parsed = sqlglot.parse_one(condition, read="duckdb")
    for identifier in parsed.find_all(ex.Identifier):
        # One column has one name, however it is written.
        identifier.set("quoted", False)
    return parsed


def _comparison(
    comparison: Mapping[str, Any], rarest: Mapping[str, float], average: Mapping[str, float]
) -> _Comparison:
    described = cast("list[dict[str, Any]]", comparison["comparison_levels"])
    levels = tuple(trained_level(comparison, level) for level in described)
    most = [lv.weight + (max(0.0, lv.tf.bits(1.0), lv.tf.bits(rarest.get(lv.tf.column, 1.0))) if lv.tf else 0.0)
            for lv in levels]  # fmt: skip
    conditions = tuple(_parsed(str(level["sql_condition"])) for level in described)
    same = [frozenset(_same(condition)) for condition in conditions]
    unlike, column = min(
        (max((bits for bits, of in zip(most, same, strict=True) if column not in of), default=0.0), column)
        for column in frozenset[str]({""}).union(*same)
    )
    name = str(comparison["output_column_name"])
    return _Comparison(name, conditions, levels, max(most), max(most) - average.get(name, 0.0), column, unlike)


def _same(condition: ex.Expr) -> Iterator[str]:
    """The columns that both records have the same in wherever a condition holds."""
    match condition:
        case ex.Paren():
            yield from _same(condition.this)
        case ex.And():
            yield from _same(condition.this)
            yield from _same(condition.expression)
        case ex.EQ(this=ex.Column() as one, expression=ex.Column() as other):
            if one.name[:-2] == other.name[:-2] and {one.name[-2:], other.name[-2:]} == {"_l", "_r"}:
                yield one.name[:-2]
        case _:
            pass


def _compile(
    comparisons: Sequence[_Comparison], prior: float, bits: Mapping[Adjustment, Mapping[str, float]]
) -> Callable[[Record, Record, float], tuple[int, ...] | None]:
    """The index of each comparison's level as a function of two records; None where their weight is below `least`.

    What tells most for its time is looked at first, and the rest only while it could still lift the pair that high.
    Time goes by levels, though most pairs leave early in a long list of them: hence the root. By bits alone a candidate
    takes 7 % longer. How high that could be is said closer by which values are the same, as soon as an average
    candidate without any such leaves by it: a tenth of the time.
    """
    order = sorted(range(len(comparisons)), key=lambda k: -comparisons[k].tells / math.sqrt(len(comparisons[k].levels)))
    compiler = _Compiler(condition for comparison in comparisons for condition in comparison.conditions)
    names = dict(_HELPERS)
    body: list[list[str]] = []
    named: list[list[str]] = []
    rest = sum(c.most for c in comparisons) + SLACK
    expected = prior
    known = _Facts()
    for place, k in enumerate(order, 1):
        comparison = comparisons[k]
        compiler.name = comparison.name
        before = set(compiler.names.values())
        lines: list[str] = []
        outcomes: list[_Facts] = []
        for index, (condition, level) in enumerate(zip(comparison.conditions, comparison.levels, strict=True)):
            test, held, known = compiler.test(condition, known)
            outcomes.append(held)
            lines.append(f"{'elif' if index else 'if'} {test}:")
            lines.append(f"    n_{k} = {index}; total += {level.weight!r}")
            if level.tf:
                names[f"tf_{k}_{index}"] = bits[level.tf]
                values = (compiler.value(ex.column(f"{level.tf.column}_{side}"), known).name for side in "lr")
                lines[-1] += f" + adjusted(tf_{k}_{index}, {', '.join(values)})"
        known = _Facts.intersection(*outcomes)
        rest -= comparison.most
        lines.append(f"if total + {rest!r} < least: return None")
        expected += comparison.most - comparison.tells
        left = [c for c in map(comparisons.__getitem__, order[place:]) if c.unlike + WORTH_A_LOOK < c.most]
        least_rest = rest - sum(c.most - c.unlike for c in left)
        if left and expected + least_rest < 0:
            terms = [repr(rest - sum(c.most for c in left))]
            for c in left:
                one, other = (compiler.value(ex.column(f"{c.column}_{side}"), known).name for side in "lr")
                terms.append(f"({c.most!r} if {one} == {other} else {c.unlike!r})")
            lines.append(f"if total + {' + '.join(terms)} < least: return None")
        body.append(lines)
        named.append([name for name in compiler.names.values() if name not in before])
    lines = [f"total = {prior!r}"]
    for own, here in zip(body, named, strict=True):
        # What only a later comparison asks for is not read for most pairs.
        lines += (f"{name} = {compiler.columns[name]}" for name in here if name in compiler.columns)
        if doubtful := "".join(f"{name} = " for name in here if name in compiler.doubtful):
            lines.append(f"{doubtful}_unknown")
        lines += own
    lines.append(f"return ({''.join(f'n_{k}, ' for k in range(len(comparisons)))})")
    source = "def levels(left, right, least, _unknown=object()):\n" + "\n".join(f"    {line}" for line in lines)
    exec(compile(source, "<comparisons>", "exec"), names)  # noqa: S102 (names and literals only, from a parsed expression)
    return cast("Callable[[Record, Record, float], tuple[int, ...] | None]", names["levels"])


class Scorer:
    """Scores pairs of normalised records as the model would in Splink."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        term_frequencies: Mapping[str, Mapping[str, float]],
        average: Mapping[str, float] | None = None,
    ) -> None:
        """`settings`: a trained Splink model; `term_frequencies`: for each column the share of each value.

        `average`: for each comparison the bits that candidates have in it on the average, which decides what is looked
        at first, and nothing else.
        """
        prior = float(settings["probability_two_random_records_match"])
        self._prior = math.log2(prior / (1 - prior))
        rarest = {column: min(table.values()) for column, table in term_frequencies.items() if table}
        comparisons = cast("list[dict[str, Any]]", settings["comparisons"])
        self._comparisons = [_comparison(c, rarest, average or {}) for c in comparisons]
        self._bits = {
            tf: {value: tf.bits(share) for value, share in term_frequencies.get(tf.column, {}).items()}
            for tf in {level.tf for comparison in self._comparisons for level in comparison.levels if level.tf}
        }
        self._levels = _compile(self._comparisons, self._prior, self._bits)

    @classmethod
    def load(cls, directory: Path) -> "Scorer":
        """The scorer of a saved model. Raises ModelError where there is none, or of another version."""
        from matching.model import Model

        model = Model.load(directory)
        return cls(model.settings, model.term_frequencies, model.average)

    def weight(self, left: Record, right: Record) -> float:
        """The match weight in bits; as `score`, without the explanation."""
        return self.score(left, right).weight

    def score(self, left: Record, right: Record) -> Score:
        """Weight, probability and every comparison's level. A column that a record lacks counts as missing."""
        levels = self._scored(self._levels(left, right, -math.inf) or (), left, right)
        total = sum((level.weight for level in levels), self._prior)
        return Score(total, probability(total), levels)

    def score_from(self, least: float, left: Record, right: Record) -> Score | None:
        """The score of a pair whose weight is at least so many bits; of another it is known sooner that it is not."""
        at = self._levels(left, right, least)
        if at is None:
            return None
        levels = self._scored(at, left, right)
        total = sum((level.weight for level in levels), self._prior)
        return Score(total, probability(total), levels) if total >= least else None

    def _scored(self, at: Sequence[int], left: Record, right: Record) -> tuple[LevelScore, ...]:
        found: list[LevelScore] = []
        for comparison, index in zip(self._comparisons, at, strict=True):
            level = comparison.levels[index]
            weight = level.weight
            if tf := level.tf:
                weight += _adjusted(self._bits[tf], *(cast("str", side.get(tf.column)) for side in (left, right)))
            found.append(LevelScore(comparison.name, level.label, weight))
        return tuple(found)

    @property
    def prior_weight(self) -> float:
        """log2 of the odds that two random records match."""
        return self._prior


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
