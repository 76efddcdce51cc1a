"""Automatic configuration: from the columns that are there to comparisons and blocking rules.

**Comparisons.** Splink multiplies the evidence of its comparisons as if they were independent. Among records of
one person they nearly are (a typo in the name says nothing of the street). Among *different* people they are not:
a family shares surname, address, telephone and mailbox at once, and twins their date of birth too. So the
evidence is written as a chain,

    first name → surname → date of birth → address → place → telephone → email

and a level whose agreement a household explains is *given* what comes before it: its m and u are the chances of
agreeing among the pairs that already share that much. `u` of "same telephone, given the same address" is then near
its m, and a family's telephone proves nothing twice. Likewise what names explain: the family name is given the first
name, as both go with a country, and mail addresses that are alike, but not the same, are given the names that they are
made of.

**Blocking rules** are combinations of atoms (a column or its prefix). Each rule's pairs are counted, blocks over a
cap are left out, and rules are taken, coarse before fine, while the budget of pairs lasts.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from matching.batch import RECORDS, Record, quote
from matching.fields import LinkType

JW = "jaro_winkler_similarity"
DL = "damerau_levenshtein"
NAMES = "names"
#: A blocking rule over a column that `write_keys` adds, perhaps of different sources only.
KEY_RULE = re.compile(r"l\.(bk_\d+) = r\.\1( AND l\.source <> r\.source)?")


@dataclass(frozen=True)
class Level:
    """One comparison level.

    `m`, `u`: prior chances of the level among matches and non-matches (given `given`, if set), from what is
    generally known of such data; training starts from them, and with few records stays near them.
    `given`: m and u of this level are conditional on any of these conditions, each {comparison: labels of its levels}.
    `unless`: conditions under which an earlier level takes this one's pairs: m and u are among the others.
    `fixed`: m and u are not trained. `free`: not part of the order from agreement to disagreement that the weights
    must follow.
    """

    label: str
    sql: str
    m: float = 0.0
    u: float = 0.0
    tf: str | None = None
    given: tuple[Mapping[str, frozenset[str]], ...] = ()
    unless: tuple[Mapping[str, frozenset[str]], ...] = ()
    null: bool = False
    free: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class Comparison:
    """Levels are tried in order; the first that holds is the pair's level. `why` is for the report.

    `trust` multiplies the belief in the prior m; `belief_u` is the belief in the prior u, in pairs: high for what
    different people hardly ever share, whatever a small file says. `household`: people who live together share it.
    """

    name: str
    levels: tuple[Level, ...]
    why: str
    trust: float = 1.0
    belief_u: float = 300.0
    household: bool = False

    def as_splink(self) -> dict[str, Any]:
        return {
            "output_column_name": self.name,
            "comparison_description": self.why,
            "comparison_levels": [_level_dict(level) for level in self.levels],
        }


def _level_dict(level: Level) -> dict[str, Any]:
    out: dict[str, Any] = {"sql_condition": level.sql, "label_for_charts": level.label}
    if level.null:
        out["is_null_level"] = True
        return out
    out |= {"m_probability": level.m, "u_probability": level.u}
    if level.tf:
        out |= {"tf_adjustment_column": level.tf, "tf_adjustment_weight": 1.0}
    return out


@dataclass(frozen=True)
class Profile:
    """What the data looks like. `filled`: share of records with a value; `distinct`: number of values."""

    rows: int
    filled: Mapping[str, float]
    distinct: Mapping[str, int]
    sources: int
    multi_word_surnames: float
    nicknamed: float

    def has(self, *columns: str, least: float = 0.005) -> bool:
        """Are the columns there, filled and not all alike? Of a single record nothing can be."""
        values = min(2, self.rows)
        return all(self.filled.get(c, 0) >= least and self.distinct.get(c, 0) >= values for c in columns)


def profile(con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Profile:
    """Profile the table `records`."""
    plain = [c for c in columns if c not in ("first_alt", "last_alt")]
    parts = ["count(*)", "count(DISTINCT source)"]
    parts += [f"count({quote(c)})" for c in plain] + [f"approx_count_distinct({quote(c)})" for c in plain]
    parts.append("count(*) FILTER (len(last_alt) > 1)" if "last_alt" in columns else "0")
    parts.append("count(*) FILTER (len(first_alt) > 1)" if "first_alt" in columns else "0")
    row = con.sql(f"SELECT {', '.join(parts)} FROM {RECORDS}").fetchall()[0]
    rows, sources, counts = row[0], row[1], row[2:]
    width = len(plain)
    return Profile(
        rows=rows,
        filled={c: counts[i] / max(rows, 1) for i, c in enumerate(plain)},
        distinct={c: int(counts[width + i]) for i, c in enumerate(plain)},
        sources=sources,
        multi_word_surnames=counts[-2] / max(rows, 1),
        nicknamed=counts[-1] / max(rows, 1),
    )


# ---------------------------------------------------------------------------------------------- comparisons

# However rare a name is elsewhere, families hand it down; too few do to learn how many.
_NAMESAKE = "same, in one household"
_FIRST_SAME = frozenset({_NAMESAKE, "same", "nickname", "one letter apart"})
_FIRST_OTHER = frozenset({"alike", "different"})
_FAMILY_SAME = frozenset({"same, with the given name", "same", "one word in common", "one letter apart", "alike"})
_FAMILY_OTHER = frozenset({"different"})
_ADDRESS_SAME = frozenset({
    "same address, namesakes born the same day", "same address, same family name", "same address, other family name",
})  # fmt: skip


Condition = Mapping[str, frozenset[str]]


_PHONE_SAME = frozenset({
    "shared in one household", "shared in one family", "same", "same last seven digits", "one digit apart",
})  # fmt: skip


def _null(*columns: str) -> Level:
    return Level("missing", " OR ".join(f"{quote(c + s)} IS NULL" for c in columns for s in ("_l", "_r")), null=True)


def _else(m: float, u: float, label: str = "different") -> Level:
    return Level(label, "ELSE", m, u)


def _close(column: str) -> str:
    left, right = f"{column}_l", f"{column}_r"
    return f"({_typo(column)} AND length({left}) > 2 AND length({right}) > 2 OR {JW}({left}, {right}) >= 0.94)"


def _alike(column: str) -> str:
    """Two letters apart in a name of five or more, or nearly the same beginning and length.

    Jaro-Winkler alone, at the usual 0.8, finds Darla in Darlene and Mark in Marsha; and Anna is not Annabelle.
    """
    left, right = f"{column}_l", f"{column}_r"
    return (
        f"(levenshtein({left}, {right}) <= 2 AND length({left}) >= 5 AND length({right}) >= 5) "
        f"OR ({JW}({left}, {right}) >= 0.88 AND abs(length({left}) - length({right})) <= 2)"
    )


def _typo(column: str) -> str:
    """One letter more, less, other, or two exchanged. Levenshtein goes first: Damerau costs DuckDB five times more."""
    left, right = quote(f"{column}_l"), quote(f"{column}_r")
    return f"levenshtein({left}, {right}) <= 2 AND {DL}({left}, {right}) <= 1"


def comparisons(p: Profile) -> list[Comparison]:
    """The comparisons for data of this profile, in the order of the chain."""
    found = (
        _given_name(p), _family_name(p), _middle_name(p), _suffix(p), _gender(p), _born(p), _address(p), _place(p),
        _phone(p), _email(p), *_identifiers(p), *_texts(p), _relative(p),
    )  # fmt: skip
    return [comparison for comparison in found if comparison is not None]


def _swapped() -> str:
    exchanged = "first_name_l = last_name_r AND last_name_l = first_name_r"
    return f"{exchanged} AND first_name_l <> first_name_r"


def _given_name(p: Profile) -> Comparison | None:
    if not p.has("first_name"):
        return None
    levels = [_null("first_name")]
    home, at_home = _home(p)
    if home:
        sql = f"first_name_l = first_name_r AND ({at_home})"
        levels.append(Level(_NAMESAKE, sql, 0.75, 0.012, given=home, free=True, fixed=True))
    levels.append(Level("same", "first_name_l = first_name_r", 0.72, 0.005, tf="first_name", unless=home))
    if p.has("last_name"):
        levels.append(Level("first and family name exchanged", _swapped(), 0.01, 3e-5, free=True))
    if p.nicknamed > 0.01:
        levels.append(Level("nickname", "list_has_any(first_alt_l, first_alt_r)", 0.06, 0.004))
    levels += [
        Level("one letter apart", _close("first_name"), 0.1, 0.004),
        Level(
            "same initial",
            "(length(first_name_l) = 1 OR length(first_name_r) = 1) AND "
            "substr(first_name_l, 1, 1) = substr(first_name_r, 1, 1)",
            0.03,
            0.003,
            free=True,
        ),
        Level("alike", _alike("first_name"), 0.04, 0.01),
        _else(0.04, 0.97),
    ]
    return Comparison("given_name", tuple(levels), "first given name, with nicknames, initials and typos", trust=3)


def _family_name(p: Profile) -> Comparison | None:
    if not p.has("last_name"):
        return None
    null = "last_name_l IS NULL OR last_name_r IS NULL"
    if p.has("first_name"):
        null += f" OR ({_swapped()})"
    levels = [Level("missing", null, null=True)]
    namesakes: tuple[Condition, ...] = ()
    if p.has("first_name"):
        # At home the given name is weighed given the family name already, so there it is not turned round.
        namesakes = ({"given_name": frozenset({"same"})},)
        sql = "last_name_l = last_name_r AND first_name_l = first_name_r"
        _, at_home = _home(p)
        sql += f" AND NOT coalesce({at_home}, false)" if at_home else ""
        levels.append(Level("same, with the given name", sql, 0.9, 0.008, tf="last_name", given=namesakes, free=True))
    levels.append(Level("same", "last_name_l = last_name_r", 0.8, 0.002, tf="last_name", unless=namesakes))
    if p.multi_word_surnames > 0.005:
        levels.append(Level("one word in common", "list_has_any(last_alt_l, last_alt_r)", 0.03, 0.001))
    levels += [
        Level("one letter apart", _close("last_name"), 0.08, 0.001),
        Level("alike", f"{JW}(last_name_l, last_name_r) >= 0.82", 0.03, 0.01),
        _else(0.06, 0.985),
    ]
    return Comparison("family_name", tuple(levels), "family name; a word of a double name counts", household=True)


def _middle_name(p: Profile) -> Comparison | None:
    if not p.has("middle_name", least=0.02):
        return None
    left, right = "middle_name_l", "middle_name_r"
    return Comparison(
        "middle_name",
        (
            _null("middle_name"),
            Level("same", f"{left} = {right}", 0.7, 0.02),
            Level("same initial", f"substr({left}, 1, 1) = substr({right}, 1, 1)", 0.22, 0.08),
            _else(0.08, 0.9),
        ),
        "middle names or their initials, where both are given",
    )


def _suffix(p: Profile) -> Comparison | None:
    if not p.has("suffix", least=0.002):
        return None
    levels = (
        _null("suffix"),
        Level("same", "suffix_l = suffix_r", 0.997, 0.5, fixed=True),
        Level("different", "ELSE", 0.003, 0.5, fixed=True),
    )
    return Comparison("suffix", levels, "junior, senior, II … tell father from son; not trained, for few have one")


def _gender(p: Profile) -> Comparison | None:
    if not p.has("gender"):
        return None
    levels = (_null("gender"), Level("same", "gender_l = gender_r", 0.98, 0.5), _else(0.02, 0.5))
    return Comparison("gender", levels, "gender")


def _born(p: Profile) -> Comparison | None:
    if not p.has("dob"):
        if not p.has("birth_year"):
            return None
        close = "abs(try_cast(birth_year_l AS INTEGER) - try_cast(birth_year_r AS INTEGER)) <= 2"
        return Comparison(
            "birth_year",
            (
                _null("birth_year"),
                Level("same", "birth_year_l = birth_year_r", 0.85, 0.015),
                Level("within two years", close, 0.1, 0.05),
                _else(0.05, 0.935),
            ),
            "year of birth",
        )
    left, right = "dob_l", "dob_r"

    def part(side: str, start: int, length: int) -> str:
        return f"substr({side}, {start}, {length})"

    year = f"{part(left, 1, 4)} = {part(right, 1, 4)}"
    month = f"{part(left, 6, 2)} = {part(right, 6, 2)}"
    day = f"{part(left, 9, 2)} = {part(right, 9, 2)}"
    swapped = f"{year} AND {part(left, 6, 2)} = {part(right, 9, 2)} AND {part(left, 9, 2)} = {part(right, 6, 2)}"
    levels = [_null("dob")]
    twins = {"given_name": _FIRST_OTHER, "family_name": _FAMILY_SAME}
    apart = (twins,) if p.has("first_name", "last_name") else ()
    if p.has("first_name", "last_name"):
        levels.append(
            Level(
                "same, as of twins",
                f"dob_l = dob_r AND ({JW}(last_name_l, last_name_r) >= 0.82) AND "
                "NOT (first_name_l = first_name_r) AND NOT list_has_any(first_alt_l, first_alt_r) AND "
                f"NOT {_close('first_name')} AND length(first_name_l) > 1 AND length(first_name_r) > 1 AND "
                f"NOT ({_swapped()})",
                0.75,
                0.02,
                given=(twins,),
                fixed=p.has("street"),  # who lives at one address and was born on one day is a twin too often to learn
            )
        )
    levels += [
        Level("same", "dob_l = dob_r", 0.78, 0.0002, tf="dob", unless=apart),
        Level("day and month exchanged", swapped, 0.02, 0.00003),
        Level("one digit apart", _typo("dob"), 0.1, 0.001),
        Level(
            "two of year, month and day",
            f"({year} AND {month}) OR ({month} AND {day}) OR ({year} AND {day})",
            0.05,
            0.004,
        ),
        Level("same year", year, 0.02, 0.015),
        _else(0.03, 0.98),
    ]
    return Comparison("date_of_birth", tuple(levels), "date of birth; twins are weighed apart", trust=3, belief_u=5000)


def _address(p: Profile) -> Comparison | None:
    if not p.has("street"):
        return None
    same = f"{JW}(street_l, street_r) >= 0.9"
    number = "house_number_l = house_number_r"
    if p.has("house_number"):
        same += f" AND ({number} OR house_number_l IS NULL OR house_number_r IS NULL)"
    levels = [_null("street")]
    born_as_twins: tuple[Condition, ...] = ()
    if p.has("first_name", "last_name") and p.has("dob"):
        born_as_twins = ({"date_of_birth": frozenset({"same, as of twins"})},)
        levels.append(
            Level(
                "same address, namesakes born the same day",
                f"{same} AND dob_l = dob_r AND {JW}(last_name_l, last_name_r) >= 0.82 AND "
                f"NOT (first_name_l = first_name_r) AND NOT list_has_any(first_alt_l, first_alt_r) AND "
                f"NOT {_close('first_name')} AND length(first_name_l) > 1 AND length(first_name_r) > 1 AND "
                f"NOT ({_swapped()})",
                0.65,
                0.5,
                given=born_as_twins,
            )
        )
    if p.has("last_name"):
        family = _family(p)
        levels += [
            Level(
                "same address, same family name",
                f"{same} AND {family}",
                0.65,
                0.0005,
                given=({"family_name": _FAMILY_SAME},),
                unless=born_as_twins,
            ),
            Level("same address, other family name", same, 0.65, 0.00002, given=({"family_name": _FAMILY_OTHER},)),
        ]
    else:
        levels.append(Level("same address, other family name", same, 0.65, 0.00002))
    levels.append(Level("same street", f"{JW}(street_l, street_r) >= 0.9", 0.1, 0.001))
    levels.append(_else(0.25, 0.999))
    return Comparison(
        "address",
        tuple(levels),
        "street and house number, given the family name: households share both",
        household=True,
    )


def _family(p: Profile) -> str:
    same = f"{JW}(last_name_l, last_name_r) >= 0.82"
    return f"({same} OR list_has_any(last_alt_l, last_alt_r))" if p.multi_word_surnames > 0.005 else f"({same})"


def _at_address(p: Profile) -> str:
    same = f"{JW}(street_l, street_r) >= 0.9"
    if p.has("house_number"):
        same += " AND (house_number_l = house_number_r OR house_number_l IS NULL OR house_number_r IS NULL)"
    return same


def _place(p: Profile) -> Comparison | None:
    code, city, region = p.has("postcode"), p.has("city"), p.has("region")
    if not (code or city or region):
        return None
    parts = [c for c, there in (("postcode", code), ("city", city), ("region", region)) if there]
    null = Level("missing", " AND ".join(f"({c}_l IS NULL OR {c}_r IS NULL)" for c in parts), null=True)
    levels = [null]
    apart = _unless_address(p) if code or city else ()
    if apart:
        agree = " OR ".join(f"{c}_l = {c}_r" for c in parts[:2])
        levels.append(
            Level("same place, same address", f"({agree}) AND {_at_address(p)}", 0.97, 0.6, given=apart, free=True)
        )
    if code:
        if p.has("last_name"):
            family: Condition = {"family_name": _FAMILY_SAME}
            levels.append(
                Level(
                    "same postcode, same family name",
                    f"postcode_l = postcode_r AND {_family(p)}",
                    0.6,
                    0.002,
                    given=(family,),
                    unless=apart,
                    free=True,
                )
            )
            apart = (*apart, family)
        levels.append(Level("same postcode", "postcode_l = postcode_r", 0.6, 0.001, tf="postcode", unless=apart))
        levels.append(Level("postcode one sign apart", _typo("postcode"), 0.1, 0.003))
    if city:
        levels.append(
            Level("same city", "city_l = city_r", 0.65 if not code else 0.1, 0.01, tf="city", unless=_unless_address(p))
        )
        levels.append(Level("city alike", f"{JW}(city_l, city_r) >= 0.88", 0.08, 0.005))
    if code:
        levels.append(Level("same postal area", "substr(postcode_l, 1, 3) = substr(postcode_r, 1, 3)", 0.05, 0.01))
    if region:
        levels.append(Level("same region", "region_l = region_r", 0.1, 0.15))
    levels.append(_else(0.12, 0.85))
    return Comparison(
        "place", tuple(levels), "postcode, city and region together: they say the same thing twice", household=True
    )


def _unless_address(p: Profile) -> tuple[Condition, ...]:
    return ({"address": _ADDRESS_SAME},) if p.has("street") else ()


def _home(p: Profile) -> tuple[tuple[Condition, ...], str]:
    """What shows two records to be of one household, as conditions and as SQL."""
    conditions: list[Condition] = []
    sql: list[str] = []
    if p.has("street"):
        conditions.append({"address": _ADDRESS_SAME})
        sql.append(f"({_at_address(p)})")
    if p.has("postcode", "last_name"):
        conditions.append({"place": frozenset({"same postcode, same family name"})})
        sql.append(f"(postcode_l = postcode_r AND {_family(p)})")
    return tuple(conditions), " OR ".join(sql)


def _household_signs(p: Profile) -> list[str]:
    """SQL of what hardly anyone but a household shares."""
    signs = [_at_address(p)] if p.has("street") else []
    return signs + [f"{c}_l = {c}_r" for c in ("phone", "email") if p.has(c)]


def _same_phone() -> str:
    """What makes a pair one of `_PHONE_SAME`."""
    return f"(right(phone_l, 7) = right(phone_r, 7) OR ({_typo('phone')}))"


def _phone(p: Profile) -> Comparison | None:
    if not p.has("phone"):
        return None
    levels = [_null("phone")]
    shared, apart = _shared_contact(p, _same_phone())
    levels += [
        *shared,
        Level("same", "phone_l = phone_r", 0.6, 0.00002, unless=apart),
        Level("same last seven digits", "right(phone_l, 7) = right(phone_r, 7)", 0.08, 0.00001, unless=apart),
        Level("one digit apart", _typo("phone"), 0.05, 0.00001, unless=apart),
        _else(0.27, 0.9999),
    ]
    why = "telephone number, given household and family name"
    return Comparison("phone", tuple(levels), why, belief_u=5000, household=True)


def _shared_contact(p: Profile, same: str) -> tuple[list[Level], tuple[Condition, ...]]:
    """Levels for a contact that a household or a family may share, and what they are given."""
    levels: list[Level] = []
    apart, home = _home(p)
    if apart:
        levels.append(Level("shared in one household", f"{same} AND ({home})", 0.75, 0.3, given=apart, free=True))
    if p.has("last_name"):
        families: tuple[Condition, ...] = ({"family_name": _FAMILY_SAME},)
        sql = _family(p)
        if p.has("first_name"):
            families = (*families, {"given_name": frozenset({"first and family name exchanged"})})
            sql = f"({sql} OR ({_swapped()}))"
        levels.append(
            Level("shared in one family", f"{same} AND {sql}", 0.75, 0.002, given=families, unless=apart, free=True)
        )
        apart = (*apart, *families)
    return levels, apart


def _email(p: Profile) -> Comparison | None:
    if not p.has("email"):
        return None
    same = "email_l = email_r"
    alike = f"levenshtein(email_l, email_r) <= 2 OR {JW}(email_l, email_r) >= 0.94"
    user_alike = f"{JW}(email_user_l, email_user_r) >= 0.92"
    near = f"({alike} OR email_user_l = email_user_r OR {user_alike})"
    levels = [_null("email")]
    telephone: Condition = {"phone": _PHONE_SAME}
    if p.has("phone"):
        sql = f"{same} AND {_same_phone()}"
        levels.append(Level("shared with the telephone", sql, 0.75, 0.3, given=(telephone,), free=True))
    shared, apart = _shared_contact(p, same)
    if p.has("phone"):
        shared = [replace(level, unless=(*level.unless, telephone)) for level in shared]
        apart = (*apart, telephone)
    named, as_named = _named_alike(p, near)
    levels += [
        *shared,
        Level("same", same, 0.65, 0.00002, unless=apart),
        *named,
        Level("same user, other domain", "email_user_l = email_user_r", 0.05, 0.00003, unless=as_named),
        Level("alike", alike, 0.1, 0.00003, unless=as_named),
        Level("user alike", user_alike, 0.05, 0.002, unless=as_named),
        _else(0.15, 0.998),
    ]
    why = "email address, given telephone, household and names: addresses are made of names"
    return Comparison("email", tuple(levels), why, belief_u=5000, household=True)


def _named_alike(p: Profile, near: str) -> tuple[list[Level], tuple[Condition, ...]]:
    """Levels for addresses that are alike and may be so because the names are, and what they are given.

    james.smith@ and james_smith2@ are two namesakes' as easily as one person's.
    """
    levels: list[Level] = []
    apart: tuple[Condition, ...] = ()
    given, family = {"given_name": _FIRST_SAME}, {"family_name": _FAMILY_SAME}
    first = f"(list_has_any(first_alt_l, first_alt_r) OR {_close('first_name')})"
    for label, there, condition, sql, u in (
        ("alike, as both names", ("first_name", "last_name"), {**given, **family}, f"{first} AND {_family(p)}", 0.2),
        ("alike, as the first name", ("first_name",), given, first, 0.05),
        ("alike, as the family name", ("last_name",), family, _family(p), 0.03),
    ):
        if p.has(*there):
            levels.append(Level(label, f"{near} AND {sql}", 0.2, u, given=(condition,), unless=apart, free=True))
            apart = (*apart, condition)
    return levels, apart


def _identifiers(p: Profile) -> list[Comparison]:
    out: list[Comparison] = []
    for column in p.filled:
        if column.startswith("id_") and p.has(column, least=0.001):
            left, right = f"{quote(column + '_l')}", f"{quote(column + '_r')}"
            out.append(
                Comparison(
                    column.removeprefix("id_"),
                    (
                        _null(column),
                        Level("same", f"{left} = {right}", 0.88, 0.00001),
                        Level("one sign apart", _typo(column), 0.06, 0.00002),
                        _else(0.06, 0.99997),
                    ),
                    "identifier; one sign apart is a typo",
                    belief_u=5000,
                )
            )
    return out


def _texts(p: Profile) -> list[Comparison]:
    out: list[Comparison] = []
    for column in p.filled:
        if column.startswith("text_") and p.has(column, least=0.02):
            left, right = f"{quote(column + '_l')}", f"{quote(column + '_r')}"
            telling = column == "text_organisation"
            out.append(
                Comparison(
                    column.removeprefix("text_"),
                    (
                        _null(column),
                        Level("same", f"{left} = {right}", 0.6, 0.002 if telling else 0.02, tf=column),
                        Level("alike", f"{JW}({left}, {right}) >= 0.84", 0.2, 0.004 if telling else 0.02),
                        _else(0.2, 0.96),
                    ),
                    "text as it is written" if not telling else "name of an organisation, in any order of words",
                    belief_u=5000 if telling else 300,
                )
            )
    return out


def _relative(p: Profile) -> Comparison | None:
    """Relatives: first names that contradict each other, with nothing of one's own that agrees; father and son.

    What a family shares says nothing of who in it a record is. Its weights are fixed, not trained: where families are
    many, EM would take a few of them for matches and so excuse the rest.
    """
    if not p.has("first_name") or sum(p.has(c) for c in ("last_name", "street", "phone", "email", "postcode")) < 2:
        return None
    own: list[str] = []
    if p.has("dob"):
        own.append("dob_l = dob_r")
        own.append(_typo("dob"))
    own += [f"{quote(c + '_l')} = {quote(c + '_r')}" for c in p.filled if c.startswith("id_")]
    contradict = (
        "length(first_name_l) > 1 AND length(first_name_r) > 1 AND NOT list_has_any(first_alt_l, first_alt_r) AND "
        f"NOT {_close('first_name')} AND NOT ({_alike('first_name')})"
    )
    if p.has("last_name"):
        contradict += f" AND coalesce(NOT ({_swapped()}), true)"
    nothing = f" AND NOT coalesce({' OR '.join(f'({test})' for test in own)}, false)" if own else ""
    levels = [
        _null("first_name"),
        Level("nothing of one's own agrees", f"{contradict}{nothing}", 0.05, 0.98, fixed=True, free=True),
    ]
    shared = [f"({at})" for at in _household_signs(p)]
    if p.has("last_name", "dob") and shared:
        years = "try_cast(substr(dob_l, 1, 4) AS INTEGER) - try_cast(substr(dob_r, 1, 4) AS INTEGER)"
        namesake = (
            f"abs({years}) >= 14 AND substr(dob_l, 6, 5) <> substr(dob_r, 6, 5) AND {_family(p)} "
            f"AND ({' OR '.join(shared)})"
        )
        levels.append(Level("namesake of another generation", namesake, 0.004, 0.98, fixed=True, free=True))
    levels.append(Level("no sign of it", "ELSE", 0.98, 0.98, fixed=True, free=True))
    why = (
        "first names contradict each other and nothing that only one person has agrees; "
        "or one name in one household, born a generation apart"
    )
    return Comparison("relative", tuple(levels), why)


# ------------------------------------------------------------------------------------------------- blocking


@dataclass(frozen=True)
class Atom:
    """A column, whole or cut: `start` counts from 1, `length` 0 is the whole.

    NAMES stands for first and last name in alphabetical order, so that exchanged ones meet.
    """

    column: str
    start: int = 1
    length: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        return ("first_name", "last_name") if self.column == NAMES else (self.column,)

    @property
    def sql(self) -> str:
        if self.column == NAMES:
            return (
                "CASE WHEN first_name < last_name THEN first_name || ' ' || last_name "
                "ELSE last_name || ' ' || first_name END"
            )
        return quote(self.column) if not self.length else f"substr({quote(self.column)}, {self.start}, {self.length})"

    def value(self, record: Record) -> str | None:
        found = [value for column in self.columns if isinstance(value := record.get(column), str)]
        if len(found) < len(self.columns):
            return None
        whole = " ".join(sorted(found))
        return whole if not self.length else whole[self.start - 1 : self.start - 1 + self.length]

    @property
    def text(self) -> str:
        if self.column == NAMES:
            return "first_name and last_name in either order"
        return self.column if not self.length else f"{self.column}[{self.start}:{self.length}]"


@dataclass(frozen=True)
class Rule:
    """Pairs that agree on all atoms are candidates. `pairs` after leaving out blocks over `cap` records."""

    atoms: tuple[Atom, ...]
    pairs: int = 0
    dropped: int = 0

    @property
    def text(self) -> str:
        return " + ".join(atom.text for atom in self.atoms)

    def covers(self, other: "Rule") -> bool:
        """Is every pair of `other` one of mine? A prefix covers what begins with it."""
        return all(any(_implies(theirs, mine) for theirs in other.atoms) for mine in self.atoms)


def _implies(fine: Atom, coarse: Atom) -> bool:
    if fine == coarse:
        return True
    if fine.column != coarse.column or not coarse.length:
        return False
    return not fine.length or (fine.start == coarse.start and coarse.length <= fine.length)


def _candidate_rules(p: Profile) -> list[tuple[Atom, ...]]:
    first, last, dob = Atom("first_name"), Atom("last_name"), Atom("dob")
    f1, f3, l1, l3, l4 = (
        Atom("first_name", 1, 1),
        Atom("first_name", 1, 3),
        Atom("last_name", 1, 1),
        Atom("last_name", 1, 3),
        Atom("last_name", 1, 4),
    )
    year, month_day = Atom("dob", 1, 4), Atom("dob", 6, 5)
    postcode, city, street, house = Atom("postcode"), Atom("city"), Atom("street"), Atom("house_number")
    ids = [(Atom(c),) for c in p.filled if c.startswith("id_")]
    wished: list[tuple[Atom, ...]] = [
        *ids,
        (Atom("email"),), (Atom("phone"),), (Atom("email_user"),),
        (dob,), (Atom(NAMES),), (f3, l3), (dob, l1), (dob, f1), (dob, f3), (dob, l3),
        (last,), (first,), (last, f1), (first, l1), (l4, f1), (l3, year), (f3, year), (last, year), (first, year),
        (month_day, l3), (month_day, f3), (month_day, last), (month_day, first),
        (first, postcode), (last, postcode), (postcode,), (postcode, f1), (postcode, l1), (postcode, year),
        (street, house), (street,), (street, l3), (street, f3), (house, postcode), (house, l3, f1),
        (first, city), (last, city), (city, year), (city, dob),
        (Atom("birth_year"), last), (Atom("birth_year"), first),
    ]  # fmt: skip
    wished += [(Atom(c), year) for c in p.filled if c.startswith("text_")]
    wished += [(Atom(c), last) for c in p.filled if c.startswith("text_")]
    wished += [(Atom(c), first) for c in p.filled if c.startswith("text_")]
    wished += [(Atom(c),) for c in p.filled if c.startswith("text_")]
    return [atoms for atoms in wished if p.has(*(c for a in atoms for c in a.columns), least=0.001)]


def pair_budget(rows: int) -> int:
    """Candidate pairs for so many records: all of them up to 1,500 records, about six a record for millions."""
    return int(min(rows * (rows - 1) / 2, max(1_200_000, min(rows * 80, 4_500_000), rows * 6)))


def block_cap(rows: int) -> int:
    """Largest block that makes pairs; what so many share says little, and its pairs grow with the square."""
    return int(max(60, min(400, rows / 20)))


def blocking_rules(con: duckdb.DuckDBPyConnection, p: Profile, link_type: LinkType) -> tuple[list[Rule], int]:
    """Choose rules for table `records`, each with the pairs that it makes and the blocks that are too large for it;
    and the largest block that they use.

    All rules together make no more pairs than the budget. Where even the finest rule would, blocks must be smaller.
    """
    budget, cap = pair_budget(p.rows), block_cap(p.rows)
    candidates = _candidate_rules(p)
    values = _values(con, list(dict.fromkeys(atom for atoms in candidates for atom in atoms)))
    threads = int(con.sql("SELECT current_setting('threads')").fetchall()[0][0])
    while True:
        with ThreadPoolExecutor(threads) as pool:  # numpy lets other threads run meanwhile
            counted = list(pool.map(partial(_count, values, cap, link_type), candidates))
        counted = [rule for rule in counted if rule.pairs > 0]
        if not counted or min(rule.pairs for rule in counted) <= budget:
            break
        cap //= 2
    chosen: list[Rule] = []
    spent = 0
    # Fine rules first: they are cheap and sure. Then coarser ones while the budget lasts.
    for rule in sorted(counted, key=lambda r: (r.pairs, len(r.atoms))):
        if spent + rule.pairs > budget:
            continue
        chosen.append(rule)
        spent += rule.pairs
    return [
        rule for rule in chosen
        if rule.dropped or not any(o is not rule and not o.dropped and o.covers(rule) for o in chosen)
    ], cap  # fmt: skip


_SOURCE = Atom("source")
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits without a pattern


def _values(con: duckdb.DuckDBPyConnection, atoms: Sequence[Atom]) -> dict[Atom, npt.NDArray[np.uint64]]:
    """A hash of each atom of each record, 0 where it is missing, and one of the record's source."""
    hashes = [f"CASE WHEN {a.sql} IS NULL OR {a.sql} = '' THEN 0 ELSE hash({a.sql}) END::UBIGINT" for a in atoms]
    columns = ", ".join(f"{sql} AS h{i}" for i, sql in enumerate([*hashes, "hash(source)"]))
    found = con.execute(f"SELECT {columns} FROM {RECORDS}").fetchnumpy()
    return {atom: np.asarray(found[f"h{i}"]) for i, atom in enumerate([*atoms, _SOURCE])}


def _count(
    values: Mapping[Atom, npt.NDArray[np.uint64]], cap: int, link_type: LinkType, atoms: tuple[Atom, ...]
) -> Rule:
    """Pairs of records that agree on all atoms, in blocks of at most `cap` records, and the number of larger ones."""
    there = np.logical_and.reduce([values[atom] != 0 for atom in atoms])
    key = values[atoms[0]][there]
    for atom in atoms[1:]:
        key = (key * _MIX) ^ values[atom][there]
    if link_type != "link":
        key.sort()
        sizes = np.diff(np.flatnonzero(np.diff(key, prepend=key[:1] + 1)), append=len(key))
        pairs = sizes * (sizes - 1) // 2
    elif len(key):
        source = values[_SOURCE][there]
        order = np.lexsort((source, key))
        new = np.diff(key[order], prepend=key[order[:1]] + 1) != 0
        begins = np.flatnonzero(new | (np.diff(source[order], prepend=source[order[:1]]) != 0))
        alike = np.diff(begins, append=len(key))  # records of one source in one block
        blocks = np.flatnonzero(new[begins])
        sizes = np.add.reduceat(alike, blocks)
        pairs = (sizes * sizes - np.add.reduceat(alike * alike, blocks)) // 2
    else:
        return Rule(atoms)
    kept = sizes <= cap
    return Rule(atoms, int(pairs[kept].sum()), int(np.count_nonzero(~kept)))


def write_keys(con: duckdb.DuckDBPyConnection, rules: Sequence[Rule], cap: int, unseen: bool = False) -> list[str]:
    """Add columns `bk_0`, `bk_1` … to `records`; gives the blocking rules in Splink's SQL.

    `bk_i` is a hash of rule i's key, NULL where an atom is missing or, for a rule with too large blocks, more than
    `cap` records share it. Of `unseen` records, which the rules were not chosen for, any rule may have such blocks.
    """
    columns: list[str] = []
    for i, rule in enumerate(rules):
        key = ", ".join(a.sql for a in rule.atoms)
        there = " AND ".join(f"{a.sql} IS NOT NULL AND {a.sql} <> ''" for a in rule.atoms)
        hashed = f"CASE WHEN {there} THEN hash({key}) END"
        if rule.dropped or unseen:
            hashed = f"CASE WHEN count(*) OVER (PARTITION BY {hashed}) <= {cap} THEN {hashed} END"
        columns.append(f"{hashed} AS bk_{i}")
    others = "COLUMNS(name -> NOT starts_with(name, 'bk_'))"
    con.execute(
        f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT {others}, {', '.join(columns)} FROM {RECORDS} ORDER BY rid"
    )
    return [f"l.bk_{i} = r.bk_{i}" for i in range(len(rules))]


def blocking_keys(rules: Sequence[Rule], record: Record) -> list[str]:
    """The record's blocking keys as text, one for each rule whose atoms are all there: `r3:smith|1970`."""
    keys: list[str] = []
    for i, rule in enumerate(rules):
        values = [atom.value(record) for atom in rule.atoms]
        if all(values):
            keys.append(f"r{i}:" + "|".join(v for v in values if v))
    return keys
