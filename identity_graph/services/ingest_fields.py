"""Which column of a file is what: by its name, or by a mapping file.

A mapping file in YAML::

    id: customer_no              # names the record within its source
    source: system               # a column that names the source; else --source does
    observed_at: updated_at      # when the row was true
    fields: {first_name: given}  # canonical trait: column, or a list of them, of which the first that is filled counts
    identifiers: {email: mail}   # namespace: column, or a list of them

What it leaves out is recognised by name; an empty ``fields`` or ``identifiers`` means none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from identity_graph.domain.identifiers import NAMESPACE
from identity_graph.domain.rules import RECORD_NAMESPACE, Rules
from identity_graph.matcher.columns import NAMES, words

_KEYS = ("id", "source", "observed_at", "link_type", "fields", "identifiers", "person")

#: Names of columns whose values are identifiers, by namespace, as `words` writes them. Only names that mean the same in
#: every company stand here: the `customer_id` of two systems are two numbers, and taking one for the other would glue
#: strangers together.
_NAMESPACES = {
    "user_id": "user_id userid login_id benutzer_id utilisateur_id usuario_id utente_id gebruiker_id",
    "crm_id": "crm_id crm_number crm_no crm_key crm_contact_id",
    "email": NAMES["email"],
    "phone": NAMES["phone"],
    "loyalty_id": "loyalty_id loyalty_number loyalty_no loyalty_card loyalty_card_number club_card membership_card "
    "kundenkarte kundenkartennummer carte_fidelite carte_de_fidelite tarjeta_fidelidad carta_fedelta klantenkaart",
    "social_id": "social_id twitter twitter_id facebook facebook_id linkedin linkedin_id instagram instagram_id",
    "device_id": "device_id deviceid device_identifier geraete_id gerate_id appareil_id dispositivo_id apparaat_id",
    "idfa": "idfa ios_idfa apple_idfa",
    "gaid": "gaid aaid google_advertising_id android_advertising_id",
    "cookie_id": "cookie_id cookieid cookie client_cookie visitor_cookie",
    "anonymous_id": "anonymous_id anonymousid anon_id visitor_id visitorid",
}

#: Names of columns that name the record, the surest first; then one called after the source, such as `crm_id` of crm.
_IDS = (
    "record_id recordid rec_id unique_id uniqueid row_id source_record_id external_id id uuid guid key customer_id "
    "customerid customer_number customer_no client_id contact_id person_id patient_id member_id account_id "
    "kundennummer kundennr kunden_id numero_client id_cliente id_client klantnummer klant_id numer_klienta"
).split()

_TIMES = (
    "observed_at observedat updated_at updatedat last_updated last_modified modified_at modified changed_at "
    "event_time event_timestamp occurred_at timestamp ts sent_at received_at ordered_at sold_at created_at createdat "
    "created datetime zeitstempel geaendert_am horodatage fecha_actualizacion"
).split()

#: Words before a name that do not change what it is.
_PREFIXES = frozenset(
    "customer client contact person user patient member primary main home work private business billing shipping "
    "delivery addr address kunde kunden klant cliente".split()
)


class BadMapping(Exception):
    """A sentence that names the key or the column that cannot be used."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what. ``fields`` maps each canonical trait to its columns, the preferred one first.

    ``missing`` are columns that a mapping file names and the first rows do not have, as rows of JSON may differ.
    """

    id: str | None = None
    source: str | None = None
    observed_at: str | None = None
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    identifiers: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()

    def described(self) -> list[tuple[str, str]]:
        """What was recognised, as (meaning, column), for the user to check."""
        named = (("record id", self.id), ("source", self.source), ("observed at", self.observed_at))
        return [
            *((what, column) for what, column in named if column),
            *((f"identifier {namespace}", column) for namespace, column in self.identifiers),
            *((f"trait {name}", ", ".join(columns)) for name, columns in self.fields),
        ]


def _by_name(table: Mapping[str, str]) -> dict[str, str]:
    return {name: meaning for meaning, names in table.items() for name in names.split()}


_NAMESPACE_OF = _by_name(_NAMESPACES)
_TRAIT_OF = _by_name(NAMES)


def _meaning(column: str, table: Mapping[str, str]) -> str | None:
    """What a column's name means, also after words such as ``billing`` and before a number."""
    parts = words(column).split("_")
    for begin in range(len(parts)):
        for end in {len(parts), len(parts) - parts[-1].isdigit()}:
            if meaning := table.get("_".join(parts[begin:end])):
                return meaning
        if parts[begin] not in _PREFIXES:
            return None
    return None


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file. ``columns`` are all it has, or None where rows may have others, as in JSON."""

    rows: Sequence[Mapping[str, Any]]
    columns: Sequence[str] | None = None

    @property
    def met(self) -> list[str]:
        return list(self.columns or dict.fromkeys(column for row in self.rows for column in row))

    def differs(self, column: str) -> bool:
        """Whether each row has a value of its own there."""
        values = [row.get(column) for row in self.rows]
        return all(isinstance(value, str | int) for value in values) and len(set(map(str, values))) == len(values)


def recognise(sample: Sample, source: str | None, rules: Rules) -> Columns:
    """The columns by their names. One names the record only if its values differ."""
    columns = sample.met
    names = {words(column): column for column in reversed(columns)}
    own = {words(namespace): namespace for namespace in rules.namespaces if namespace != RECORD_NAMESPACE}
    spaces = {**_NAMESPACE_OF, **own}
    candidates = [*_IDS[:6], *([f"{words(source)}_id"] if source else ()), *_IDS[6:]]
    if columns and re.search(r"(^|_)(id|key|no|nr|number|nummer|num)$", words(columns[0])):
        candidates.append(words(columns[0]))
    ids = (names[name] for name in candidates if name in names)
    fields: dict[str, tuple[str, ...]] = {}
    for column in columns:
        if trait := _meaning(column, _TRAIT_OF):
            fields[trait] = (*fields.get(trait, ()), column)
    return Columns(
        id=next((column for column in ids if sample.differs(column)), None),
        observed_at=next((names[name] for name in _TIMES if name in names), None),
        fields=tuple(fields.items()),
        identifiers=tuple((found, column) for column in columns if (found := _meaning(column, spaces))),
    )


def read_mapping(file: Path, sample: Sample, source: str | None, rules: Rules) -> Columns:
    """The columns that a mapping file names; what it leaves out is recognised. Raises :class:`BadMapping`."""
    try:
        given: object = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise BadMapping(f"{file} is no readable YAML ({type(e).__name__})") from None
    if not isinstance(given, dict):
        raise BadMapping(f"{file} must map some of {', '.join(_KEYS)} to columns")
    mapping = cast(dict[object, object], given)
    if unknown := [key for key in mapping if key not in _KEYS]:
        raise BadMapping(f"{file}: unknown key {unknown[0]!r}; expected {', '.join(_KEYS)}")
    found = recognise(sample, source, rules)
    named = _Named(file, sample.met, sample.columns is not None)

    def one(key: str, recognised: str | None) -> str | None:
        return named.column(key, mapping[key]) if mapping.get(key) is not None else recognised

    fields = named.many("fields", mapping["fields"]) if "fields" in mapping else found.fields
    identifiers = found.identifiers
    if "identifiers" in mapping:
        identifiers = tuple((n, c) for n, cs in named.many("identifiers", mapping["identifiers"]) for c in cs)
        _check_namespaces(file, (namespace for namespace, _ in identifiers), rules)
    id, source, observed_at = one("id", found.id), one("source", None), one("observed_at", found.observed_at)
    return Columns(id, source, observed_at, fields, identifiers, tuple(named.missing))


@dataclass(frozen=True, slots=True)
class _Named:
    """Finds the columns that a mapping file names; ``complete``: others do not exist."""

    file: Path
    columns: Sequence[str]
    complete: bool
    missing: list[str] = field(default_factory=list[str])

    def column(self, key: str, value: object) -> str:
        if not isinstance(value, str):
            raise BadMapping(f"{self.file}: {key} must be the name of a column, not {value!r}")
        if value in self.columns:
            return value
        alike = [column for column in self.columns if words(column) == words(value)]
        if alike:
            return alike[0]
        if self.complete and self.columns:
            have = ", ".join(self.columns)
            raise BadMapping(f"{self.file}: {key} names the column {value!r}, which is not there; there are {have}")
        self.missing.append(value)
        return value

    def many(self, key: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise BadMapping(f"{self.file}: {key} must map names to columns")
        found: list[tuple[str, tuple[str, ...]]] = []
        for name, given in cast(dict[object, object], value).items():
            listed = cast(list[object], given) if isinstance(given, list) else [given]
            found.append((str(name), tuple(self.column(f"{key}.{name}", one) for one in listed)))
        return tuple(found)


def _check_namespaces(file: Path, namespaces: Iterable[str], rules: Rules) -> None:
    for namespace in namespaces:
        if not NAMESPACE.fullmatch(namespace) or namespace == RECORD_NAMESPACE:
            raise BadMapping(
                f"{file}: identifiers: {namespace!r} cannot be a namespace; one starts with a letter and has letters, "
                "digits, '_', '.' or '-'"
            )
        if not rules.knows(namespace):
            raise BadMapping(f"{file}: identifiers: the rules are strict and do not name the namespace {namespace}")
