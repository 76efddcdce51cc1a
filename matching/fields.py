"""Canonical fields, and how columns of a file are recognised as them.

A `FieldMap` says which column (or columns) feeds which canonical field. It comes from a mapping file or from
the column names alone; nothing here looks at a data set's name, and values are read only to tell an id from a
repeated key.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from matching.errors import InputError

LinkType = Literal["dedupe", "link", "link_and_dedupe"]
LINK_TYPES: tuple[LinkType, ...] = ("dedupe", "link", "link_and_dedupe")

#: What columns of canonical fields are called, as :func:`words` writes it: in English, German, French, Spanish,
#: Italian, Portuguese, Dutch and Polish.
NAMES: Mapping[str, str] = {
    "first_name": "first_name firstname given_name givenname forename fname christian_name vorname prenom nombre nome "
    "voornaam imie name_first",
    "middle_name": "middle_name middlename middle_initial second_name name_middle tussenvoegsel zweiter_vorname",
    "last_name": "last_name lastname surname family_name familyname lname nachname familienname nom nom_de_famille "
    "apellido apellidos primer_apellido apellido_paterno cognome sobrenome apelido achternaam nazwisko name_last",
    "full_name": "full_name fullname name display_name customer_name person_name contact_name nom_complet "
    "nombre_completo nome_completo volledige_naam naam name_full",
    "dob": "dob date_of_birth birth_date birthdate birthday born geburtsdatum geburtstag date_de_naissance naissance "
    "fecha_de_nacimiento fecha_nacimiento data_di_nascita data_de_nascimento geboortedatum data_urodzenia",
    "gender": "gender sex geschlecht sexe sexo genero sesso geslacht plec",
    "email": "email e_mail mail email_address e_mail_address mail_address e_mail_adresse email_adresse mailadresse "
    "adresse_mail adresse_email courriel correo correo_electronico email_adres e_mailadres emailadres "
    "posta_elettronica indirizzo_email endereco_email adres_email adres_e_mail",
    "phone": "phone phone_number phone_no phonenumber telephone telephone_number tel tel_no mobile mobile_phone "
    "mobile_number mobile_no cell cell_phone cellphone msisdn contact_number landline telefon telefonnummer "
    "telefonnr handy handynummer mobil mobilnummer mobiltelefon festnetz numero_de_telephone portable "
    "telephone_portable telefono telefono_movil movil celular cellulare telefone telemovel telefoon telefoonnummer "
    "mobiel gsm numer_telefonu komorka",
    "street": "street street_name street_address address address_line address_line_1 address_line1 address_1 address1 "
    "addr1 line1 strasse anschrift rue adresse calle direccion indirizzo via rua straat adres ulica",
    "house_number": "house_number house_no street_number street_no hausnummer hausnr numero_de_rue numero_civico "
    "huisnummer nr_domu",
    "city": "city town suburb locality municipality ort stadt wohnort ville ciudad citta cidade stad plaats woonplaats "
    "miasto",
    "region": "region state province county district bundesland departement provincia estado regione provincie "
    "wojewodztwo",
    "postcode": "postcode post_code postal_code postalcode zip zip_code zipcode plz postleitzahl code_postal "
    "codigo_postal cap kod_pocztowy",
    "country": "country country_code country_name land pays pais paese kraj",
    "national_id": "national_id national_id_number national_identifier ssn ssn_number social_security_number "
    "soc_sec_id nino nhs_number tax_id bsn pesel codice_fiscale dni steuer_id",
}

# Conventions of naming, in the order in which a person would read them; the first that matches wins.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("email", r"e_?mail(_?(address|addr|id))?(_?\d)?"),
    ("phone", r"(full_)?(phone|mobile|cell|telephone|tel|landline|msisdn|contact_number)"
              r"(_?(number|no|num|nr|1|home|mobile))?|(home|work|mobile|cell|telephone|tel)_(phone|number|no)"),
    ("dob", r"dob|d_o_b|birth_?(date|day|dt)|date_?of_?birth|born|born_on|date_birth"),
    ("birth_year", r"(birth|dob|b)_?(year|yr|y)|year_?of_?birth|yob|by"),
    ("birth_month", r"(birth|dob|b)_?(month|mon|mth|m)|month_?of_?birth|mob|bm"),
    ("birth_day", r"(birth|dob|b)_?(day|d)|day_?of_?birth|bd"),
    ("age", r"age"),
    ("gender", r"(gender|sex)(_?code)?"),
    ("native_name", r"native_?(full_?name|name_?full|name)|(name|full_name)_?(native|original)"),
    ("organisation", r"(org|organi[sz]ation|company|business)(_?name)?|name_?org"),
    ("full_name", r"(full|complete|display|person|customer|patient|client|contact)_?name|name(_?full)?|fullname"),
    ("first_name", r"(first|given|fore|f|christian)_?names?(_?c?1)?|fname_?c?1|(per)?name_?(1|first)|first|given"),
    ("middle_name", r"(middle|second|other|m|additional)_?(given_?)?(names?|initials?)|mname|mi|"
                    r"midl_name|first_?name_?2|fname_?c?2|given_?name_?2|name_?middle|middle"),
    ("last_name", r"(last|sur|family|l|maiden_or_sur)_?names?(_?c?1)?|lname_?c?1|(per)?name_?(2|last)|last|family"),
    ("last_name_2", r"(last|sur|family|l)_?name_?c?2|lname_?c?2|maiden_?name|birth_?name|second_surname|"
                    r"segundo_apellido|apellido_materno"),
    ("suffix", r"(name_?)?suffix|generation"),
    ("house_number", r"(house|street|building|st|addr(ess)?)_?(number|no|num|nr)"),
    ("street", r"street(_?(name|address|line))?|(address|addr|add)(_?(line)?_?1|_?line|_?street)?|"
               r"street_?1|enumcap|residence"),
    ("address_full", r"(full_?)?address(_?full)?|addr_?full|(home|postal|mailing)_?address"),
    ("address_2", r"(address|addr|add)_?(line_?)?2|(unit|apartment|flat|street_?2)"),
    ("city", r"city|town|suburb|locality|municipality|village|post_?town|(addr(ess)?|home|residence)_?city"),
    ("region", r"state|region|province|county|district|(addr(ess)?|home)_?(state|region|province)|state_?code"),
    ("postcode", r"(post|postal|zip)_?code(_?fake)?|post_?code.*|zip|pcode|pc|enumpc|cp"),
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
_FIELD_OF = {name: role for role, names in NAMES.items() for name in names.split()}
_COMPILED = tuple((role, re.compile(pattern)) for role, pattern in _PATTERNS)
_PREFIX = re.compile(
    r"^(primary|customer|cust|client|person|user|patient|member|contact|rec|voter|res|residential|main|current|"
    r"private|billing|shipping|delivery|kunden?|cliente|klant|addr|name)_(?=.)"
)
_ENDING = re.compile(r"(_?\d|_(code|cd|desc|description|txt|text|lbl|value))$")
_ID_NAME = re.compile(
    r"(record|rec|r|row|unique|source_record|person|customer|client|user|patient|contact)?_?(id|uid|key|uuid|"
    r"identifier|number|no)|unique_?id|recid|index"
)
_SOURCE_NAME = re.compile(r"(data_?)?(source|set|dataset)(_?(dataset|system|name|id))?|source_?dataset|src|list|file")

TEXT_ROLES = ("birth_place", "occupation", "employer", "organisation")
IDENTIFIER_ROLES = ("national_id", "passport", "driving_licence", "social_id", "loyalty_id")
CANONICAL = tuple(dict.fromkeys(role for role, _ in _PATTERNS))
#: A file has one mapping, whoever reads it: `observed_at` is the service's, and says nothing of who somebody is.
_KEYS = {"id", "source", "observed_at", "link_type", "fields", "identifiers", "person"}


@dataclass(frozen=True)
class FieldMap:
    """Which columns feed which field.

    `fields` maps a canonical field (or a name of the user's own, compared as text) to its columns in order of
    preference; `identifiers` maps a namespace to its column. `id` None means that rows are numbered from 1.
    `unused`: the columns that were recognised as nothing. `person`: a column that no model reads; records that share a
    value of it are known to be one person's, and training learns from them.
    """

    id: str | None
    source: str | None
    link_type: LinkType | None
    fields: Mapping[str, tuple[str, ...]]
    identifiers: Mapping[str, str] = field(default_factory=dict[str, str])
    unused: tuple[str, ...] = ()
    person: str | None = None

    def describe(self) -> list[tuple[str, str]]:
        """(what, column) rows for the user to check."""
        rows = [("record id", self.id or "(row number)")]
        if self.source:
            rows.append(("source", self.source))
        if self.person:
            rows.append(("known person", self.person))
        rows += [(name, " + ".join(columns)) for name, columns in self.fields.items()]
        rows += [(f"identifier {namespace}", column) for namespace, column in self.identifiers.items()]
        if self.unused:
            rows.append(("(not used)", ", ".join(self.unused)))
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
        if self.person:
            out["person"] = self.person
        out["fields"] = {name: list(columns) for name, columns in self.fields.items()}
        if self.identifiers:
            out["identifiers"] = dict(self.identifiers)
        return out


def words(column: str) -> str:
    """A column name in small plain letters, its words joined by "_": `Numéro de Tél` → `numero_de_tel`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    plain = "".join(c for c in unicodedata.normalize("NFKD", spaced.casefold()) if not unicodedata.combining(c))
    return re.sub(r"\W+", "_", plain).strip("_")


def recognise(columns: Sequence[str], unique: Mapping[str, bool]) -> FieldMap:
    """Recognise fields by column names.

    `unique` tells of the columns that could be a record id whether their values are all different and present.
    """
    fields: dict[str, list[str]] = {}
    id_column: str | None = None
    source: str | None = None
    for column in columns:
        name = words(column)
        if id_column is None and named_as_id(column) and unique.get(column, False):
            id_column = column
        elif source is None and _SOURCE_NAME.fullmatch(name):
            source = column
        elif role := _role(name):
            fields.setdefault(role, []).append(column)
    _second_readings(columns, fields)
    used = {id_column, source, *chain.from_iterable(fields.values())}
    unused = tuple(column for column in columns if column not in used)
    return FieldMap(id_column, source, None, {role: tuple(cols) for role, cols in fields.items()}, unused=unused)


def named_as_id(column: str) -> bool:
    """Is this what the column of record ids would be called?"""
    return _ID_NAME.fullmatch(words(column)) is not None


def _role(name: str) -> str | None:
    """The field of a column's name; else without a word before it, or a number or a code's ending after it."""
    plain = _ENDING.sub("", name)
    for candidate in dict.fromkeys((name, _PREFIX.sub("", name), plain, _PREFIX.sub("", plain))):
        if role := _FIELD_OF.get(candidate):
            return role
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
    if "phone" not in fields:  # nothing else is read by the country
        fields.pop("country", None)


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

    person = column(given["person"], "person") if given.get("person") else None
    guessed = recognise([c for c in columns if c != person], unique)
    fields: dict[str, tuple[str, ...]] = {}
    for role, value in mapping("fields").items():
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        fields[words(str(role))] = tuple(column(item, f"fields.{role}") for item in values)
    identifiers = {words(str(ns)): column(value, f"identifiers.{ns}") for ns, value in mapping("identifiers").items()}
    if person in (*chain.from_iterable(fields.values()), *identifiers.values()):
        raise InputError(
            f"{name}: person names the column {person!r}, which is mapped to a field too; it may not be compared, as "
            "what is learned from it would be circular"
        )
    return FieldMap(
        id=column(given["id"], "id") if given.get("id") else guessed.id,
        source=column(given["source"], "source") if given.get("source") else guessed.source,
        link_type=link_type,
        fields=fields or ({} if identifiers else guessed.fields),
        identifiers=identifiers,
        person=person,
    )
