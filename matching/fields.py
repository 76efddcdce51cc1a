"""Canonical fields, and how columns of a file are recognised as them.

A `FieldMap` says which column (or columns) feeds which canonical field. It comes from a mapping file or from
the column names alone; nothing here looks at a data set's name, and values are read only to tell an id from a
repeated key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from matching.errors import InputError

LinkType = Literal["dedupe", "link", "link_and_dedupe"]
LINK_TYPES: tuple[LinkType, ...] = ("dedupe", "link", "link_and_dedupe")

# In the order in which a person would read them; the first rule that matches a column name wins.
# Names are compared after splitting camelCase, lower-casing and joining words by "_".
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("email", r"e_?mail(_?(address|addr|id))?(_?\d)?"),
    ("phone", r"(phone|mobile|cell|telephone|tel|landline|msisdn|contact_number)"
              r"(_?(number|no|num|nr|1|home|mobile))?|(home|work|mobile|cell|telephone|tel)_(phone|number|no)"),
    ("dob", r"dob|d_o_b|birth_?(date|day|dt)|date_?of_?birth|born|born_on|date_birth|geburtsdatum|fecha_nacimiento"),
    ("birth_year", r"(birth|dob|b)_?(year|yr|y)|year_?of_?birth|yob|by"),
    ("birth_month", r"(birth|dob|b)_?(month|mon|mth|m)|month_?of_?birth|mob|bm"),
    ("birth_day", r"(birth|dob|b)_?(day|d)|day_?of_?birth|bd"),
    ("age", r"age"),
    ("gender", r"gender|sex|geschlecht"),
    ("native_name", r"native_?(full_?name|name_?full|name)|(name|full_name)_?(native|original)"),
    ("organisation", r"(org|organi[sz]ation|company|business)(_?name)?|name_?org"),
    ("full_name", r"(full|complete|display|person|customer|patient|client|contact)_?name|name(_?full)?|fullname"),
    ("first_name", r"(first|given|fore|f|christian)_?names?(_?c?1)?|fname_?c?1|(per)?name_?(1|first)|"
                   r"firstname|vorname|prenom|nombre"),
    ("middle_name", r"(middle|second|other|m|additional)_?(given_?)?(names?|initials?)|mname|mi|"
                    r"first_?name_?2|fname_?c?2|given_?name_?2|name_?middle"),
    ("last_name", r"(last|sur|family|l|maiden_or_sur)_?names?(_?c?1)?|lname_?c?1|(per)?name_?(2|last)|"
                  r"lastname|nachname|apellidos?|nom"),
    ("last_name_2", r"(last|sur|family|l)_?name_?c?2|lname_?c?2|maiden_?name|birth_?name|second_surname"),
    ("suffix", r"(name_?)?suffix|generation"),
    ("house_number", r"(house|street|building|st|addr(ess)?)_?(number|no|num|nr)"),
    ("street", r"street(_?(name|address|line))?|(address|addr|add)(_?(line)?_?1|_?line|_?street)?|"
               r"street_?1|strasse|calle|enumcap|residence"),
    ("address_full", r"(full_?)?address(_?full)?|addr_?full|(home|postal|mailing)_?address"),
    ("address_2", r"(address|addr|add)_?(line_?)?2|(unit|apartment|flat|street_?2)"),
    ("city", r"city|town|suburb|locality|municipality|village|post_?town|(addr(ess)?|home|residence)_?city|ort"),
    ("region", r"state|region|province|county|district|(addr(ess)?|home)_?(state|region|province)|state_?code"),
    ("postcode", r"(post|postal|zip)_?code(_?fake)?|post_?code.*|zip|pcode|pc|plz|enumpc|cp"),
    ("country", r"country(_?(code|name))?|nationality|addr(ess)?_?country"),
    ("birth_place", r"(birth|born)_?(place|town|city|location)|place_?of_?birth"),
    ("national_id", r"(ssn|social_?security|soc_?sec)(_?(number|no|id|num))?|national_?(id|identifier)(_?(number|no))?|"
                    r"nin|nino|nhs_?(number|no)?|nhi|cpr|bsn|pesel|tax_?id(_?number)?|id_?(card|number|no)|"
                    r"personal_?(id|number|code)|national_?insurance(_?number)?|medicare(_?number)?"),
    ("passport", r"passport(_?(number|no|id))?"),
    ("driving_licence", r"(drivers?|driving)_?licen[cs]e(_?(number|no|id))?|dl_?(number|no)?"),
    ("social_id", r"(twitter|facebook|linkedin|instagram|social)(_?(id|handle|name))?"),
    ("loyalty_id", r"(loyalty|card|member(ship)?)_?(id|number|no)"),
    ("occupation", r"occupation|profession|job(_?title)?"),
    ("employer", r"employer(_?name)?"),
)  # fmt: skip
_COMPILED = tuple((role, re.compile(pattern)) for role, pattern in _PATTERNS)
_PREFIX = re.compile(
    r"^(primary|customer|cust|client|person|user|patient|member|contact|rec|voter|res|residential|main|current|"
    r"addr|name)_(?=.)"
)
_ID_NAME = re.compile(
    r"(record|rec|r|row|unique|source_record|person|customer|client|user|patient|contact)?_?(id|uid|key|uuid|"
    r"identifier|number|no)|unique_?id|recid|index"
)
_SOURCE_NAME = re.compile(r"(data_?)?(source|set|dataset)(_?(dataset|system|name|id))?|source_?dataset|src|list|file")

TEXT_ROLES = ("birth_place", "occupation", "employer", "organisation")
IDENTIFIER_ROLES = ("national_id", "passport", "driving_licence", "social_id", "loyalty_id")
CANONICAL = tuple(dict.fromkeys(role for role, _ in _PATTERNS))
_KEYS = {"id", "source", "link_type", "fields", "identifiers"}


@dataclass(frozen=True)
class FieldMap:
    """Which columns feed which field.

    `fields` maps a canonical field (or a name of the user's own, compared as text) to its columns in order of
    preference; `identifiers` maps a namespace to its column. `id` None means that rows are numbered from 1.
    """

    id: str | None
    source: str | None
    link_type: LinkType | None
    fields: Mapping[str, tuple[str, ...]]
    identifiers: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    def describe(self) -> list[tuple[str, str]]:
        """(what, column) rows for the user to check."""
        rows = [("record id", self.id or "(row number)")]
        if self.source:
            rows.append(("source", self.source))
        rows += [(name, " + ".join(columns)) for name, columns in self.fields.items()]
        rows += [(f"identifier {namespace}", column) for namespace, column in self.identifiers.items()]
        return rows

    def as_dict(self) -> dict[str, Any]:
        """The mapping file that would produce this map."""
        out: dict[str, Any] = {}
        if self.id:
            out["id"] = self.id
        if self.source:
            out["source"] = self.source
        if self.link_type:
            out["link_type"] = self.link_type
        out["fields"] = {name: list(columns) for name, columns in self.fields.items()}
        if self.identifiers:
            out["identifiers"] = dict(self.identifiers)
        return out


def words(column: str) -> str:
    """A column name as lower-case words joined by "_": `DateOfBirth ` → `date_of_birth`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def recognise(columns: Sequence[str], unique: Mapping[str, bool]) -> FieldMap:
    """Recognise fields by column names.

    `unique` tells of the columns that could be a record id whether their values are all different and present.
    """
    fields: dict[str, list[str]] = {}
    id_column: str | None = None
    source: str | None = None
    for column in columns:
        name = words(column)
        if id_column is None and _ID_NAME.fullmatch(name) and unique.get(column, False):
            id_column = column
        elif source is None and _SOURCE_NAME.fullmatch(name):
            source = column
        elif role := _role(name):
            fields.setdefault(role, []).append(column)
    _second_readings(columns, fields)
    return FieldMap(id_column, source, None, {role: tuple(cols) for role, cols in fields.items()})


def _role(name: str) -> str | None:
    short = _PREFIX.sub("", name)
    for candidate in dict.fromkeys((name, short)):
        for role, pattern in _COMPILED:
            if pattern.fullmatch(candidate):
                return role
    return None


def _second_readings(columns: Sequence[str], fields: dict[str, list[str]]) -> None:
    """Names that mean something only because of their neighbours."""
    named = {words(column): column for column in columns}
    if "sname" in named:  # beside a surname it is the second given name, alone it is the surname
        role = "middle_name" if "last_name" in fields else "last_name"
        fields.setdefault(role, []).append(named["sname"])
    if "date" in named and "dob" not in fields and "birth_year" not in fields and "first_name" in fields:
        fields["dob"] = [named["date"]]
    if "age" in fields and ("dob" in fields or "birth_year" in fields):
        del fields["age"]


def load_field_map(path: Path, columns: Sequence[str], unique: Mapping[str, bool]) -> FieldMap:
    """Read a mapping file; what it leaves out (id, source, or all fields) is recognised.

    Raises InputError naming the key or the column that cannot be used.
    """
    try:
        loaded: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path.name} is not a readable YAML mapping: {type(error).__name__}") from error
    if not isinstance(loaded, dict):
        raise InputError(f"{path.name} must be a YAML mapping with the keys {', '.join(sorted(_KEYS))}")
    return field_map_from(cast("dict[str, Any]", loaded), columns, unique, path.name)


def field_map_from(
    given: Mapping[str, Any], columns: Sequence[str], unique: Mapping[str, bool], name: str = "the mapping"
) -> FieldMap:
    """As `load_field_map`, from an already parsed mapping."""
    if unknown := set(given) - _KEYS:
        raise InputError(f"{name}: unknown key {sorted(unknown)[0]!r}; expected one of {', '.join(sorted(_KEYS))}")
    link_type = given.get("link_type")
    if link_type is not None and link_type not in LINK_TYPES:
        raise InputError(f"{name}: link_type is {link_type!r}; expected one of {', '.join(LINK_TYPES)}")
    by_words = {words(column): column for column in columns}

    def column(value: object, key: str) -> str:
        if isinstance(value, str):
            if value in columns:
                return value
            if words(value) in by_words:
                return by_words[words(value)]
        raise InputError(f"{name}: {key} names the column {value!r}, which is not there; columns: {', '.join(columns)}")

    def mapping(key: str) -> dict[str, Any]:
        value = given.get(key) or {}
        if not isinstance(value, dict):
            raise InputError(f"{name}: {key} must map names to columns")
        return cast("dict[str, Any]", value)

    guessed = recognise(columns, unique)
    fields: dict[str, tuple[str, ...]] = {}
    for role, value in mapping("fields").items():
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        fields[words(str(role))] = tuple(column(item, f"fields.{role}") for item in values)
    identifiers = {words(str(ns)): column(value, f"identifiers.{ns}") for ns, value in mapping("identifiers").items()}
    return FieldMap(
        id=column(given["id"], "id") if given.get("id") else guessed.id,
        source=column(given["source"], "source") if given.get("source") else guessed.source,
        link_type=link_type,
        fields=fields or ({} if identifiers else guessed.fields),
        identifiers=identifiers,
    )
