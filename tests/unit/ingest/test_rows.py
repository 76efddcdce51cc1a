"""What a row of a file says: an observation as it stands, or a record by its columns."""

import datetime
import decimal
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from identity_graph.domain.events import Event
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH, MICROSECOND
from identity_graph.domain.rules import NamespaceRule, Rules
from identity_graph.services.ingest import prepare
from identity_graph.services.ingest_batches import Batch, Task, batches, pack, take, unpack
from identity_graph.services.ingest_fields import (
    BadMapping,
    Columns,
    Sample,
    read_mapping,
    recognise,
)
from identity_graph.services.ingest_files import Row
from identity_graph.services.ingest_worker import reading

RULES = Rules()
AT = 1_700_000_000_000_000
NOW = 1_800_000_000_000_000
UNMAPPED = Columns()
NOWHERE = Path("none")


def task(columns: Columns = UNMAPPED, source: str | None = "crm", path: Path = NOWHERE) -> Task:
    return Task(path, source, columns, RULES, AT, NOW)


def taken(cells: dict[str, Any], how: Task | None = None) -> tuple[Observation | None, list[dict[str, Any]]]:
    batch = Batch()
    take(Row(3, cells), how or task(recognise(Sample([cells]), "crm", RULES)), batch)
    return next(iter(batch.observations()), None), batch.remarks


def record(cells: dict[str, Any], how: Task | None = None) -> Observation:
    o, remarks = taken(cells, how)
    assert o
    assert not remarks
    return o


def keys(o: Observation) -> set[str]:
    return {i.key for i in o.identifiers}


# --- Records


def test_a_record_has_identifiers_traits_and_all_other_columns() -> None:
    o = record(
        {
            "customer_id": 17,
            "E-Mail": "Ada@Example.org",
            "Vorname": "Ada",
            "PLZ": "1012 AB",
            "shoe size": 38.5,
            "updated_at": "2024-05-01T10:00:00+02:00",
            "nothing": None,
            "blank": "  ",
        }
    )
    assert (o.source, o.record_id, o.record_key) == ("crm", "17", "crm/17")
    assert keys(o) == {"record:crm/17", "email:ada@example.org"}
    assert o.traits == {"email": "Ada@Example.org", "first_name": "Ada", "postcode": "1012 AB", "shoe size": 38.5}
    assert EPOCH + o.observed_at * MICROSECOND == datetime.datetime(2024, 5, 1, 8, tzinfo=datetime.UTC)


def test_the_first_filled_column_is_the_trait_and_the_others_stay() -> None:
    columns = Columns(id="id", fields=(("street", ("address_1", "address_2")),))
    one = record({"id": "1", "address_1": "Main St", "address_2": "Flat 2"}, task(columns))
    other = record({"id": "1", "address_2": "Flat 2"}, task(columns))
    assert one.traits == {"street": "Main St", "address_2": "Flat 2"}
    assert other.traits == {"street": "Flat 2"}
    taken_name = record({"id": "1", "address_1": "Main St", "street": "x"}, task(columns))
    assert taken_name.traits == {"street": "Main St", "street (column)": "x"}


def test_a_bad_cell_does_not_lose_the_row() -> None:
    o, remarks = taken({"id": "1", "email": "ada at example", "phone": "+31612345678", "updated_at": "31/12/2024"})
    assert o
    assert keys(o) == {"record:crm/1", "phone:+31612345678"}
    assert o.observed_at == AT
    assert o.traits == {"email": "ada at example", "phone": "+31612345678"}
    assert [(r["line"], r["severity"], r["code"], r["field"]) for r in remarks] == [
        (3, "warning", "TIMESTAMP_OUT_OF_RANGE", "observedAt"),
        (3, "warning", "INVALID_IDENTIFIER", "identifiers.0.value"),
    ]
    assert remarks[0]["row"]["email"] == "ada at example"


@pytest.mark.parametrize(
    ("cells", "source", "field"),
    [
        ({"id": {"a": 1}, "email": "a@x.example"}, "crm", "id"),
        ({"id": "1" * 300, "email": "a@x.example"}, "crm", "recordId"),
        ({"id": "1"}, None, "source"),
        ({}, "crm", ""),
    ],
)
def test_what_cannot_be_taken_is_rejected_whole(cells: dict[str, Any], source: str | None, field: str) -> None:
    o, remarks = taken(cells, task(Columns(id="id"), source))
    assert o is None
    assert [(r["severity"], r["field"]) for r in remarks] == [("error", field)]


def test_a_trait_that_is_too_large_does_not_lose_the_others() -> None:
    parts = {f"part{n}": "x" * 9_000 + "y" * n for n in range(4)}
    o, remarks = taken({"id": "1", "note": "x" * 40_000, "city": "Leiden", **parts}, task(Columns(id="id"), "crm"))
    assert o is not None
    assert (o.traits or {}).keys() == {"city", "part0", "part1", "part2"}
    assert [(r["severity"], r["code"], r["field"]) for r in remarks] == [
        ("warning", "PAYLOAD_TOO_LARGE", "traits.note"),
        ("warning", "PAYLOAD_TOO_LARGE", "traits.part3"),
    ]


def test_rows_name_their_source_where_a_column_does() -> None:
    columns = Columns(id="id", source="system")
    assert record({"id": "1", "system": "shop"}, task(columns)).source == "shop"
    assert record({"id": "1"}, task(columns)).source == "crm"


def test_lists_hold_several_identifiers_and_numbers_are_written_as_people_do() -> None:
    columns = Columns(id="id", identifiers=(("email", "mails"), ("user_id", "user")))
    o = record({"id": 7.0, "mails": ["a@x.example", None, "b@x.example"], "user": 42.0}, task(columns))
    assert keys(o) == {"record:crm/7", "email:a@x.example", "email:b@x.example", "user_id:42"}
    assert taken({"id": "1", "mails": True}, task(columns))[1][0]["severity"] == "warning"


@pytest.mark.parametrize(
    "value",
    [1_714_557_600, 1_714_557_600.0, "1714557600", 1_714_557_600_000, 1_714_557_600_000_000, "1714557600000000000",
     "2024-05-01T10:00:00Z", "2024-05-01 12:00:00+02:00", "2024-05-01T10:00:00"],
)  # fmt: skip
def test_moments_are_iso_or_numbers_since_1970(value: object) -> None:
    o = record({"id": "1", "timestamp": value})
    assert o.observed_at == 1_714_557_600_000_000


def test_what_is_said_twice_is_one_observation_whenever_it_is_read() -> None:
    cells = {"id": "1", "email": "a@x.example", "plan": "free"}
    one, later = record(cells), record(cells, replace(task(recognise(Sample([cells]), "crm", RULES)), at=AT + 1))
    other = record({**cells, "plan": "paid"})
    assert (one.id, one.digest) == (later.id, later.digest)
    assert (one.id, one.digest) != (other.id, other.digest)
    assert one.observed_at < later.observed_at


def test_a_row_without_a_name_is_named_by_its_content() -> None:
    columns = Columns(identifiers=(("email", "email"),))
    one, same, other = (record({"email": "a@x.example", "n": n}, task(columns)).record_id for n in (1, 1, 2))
    assert one == same != other


# --- Observations


def test_observations_are_taken_as_they_stand() -> None:
    named = [{"namespace": "email", "value": "a@x.example"}]
    o = record({"id": 5, "identifiers": named, "observed_at": "2024-05-01T10:00:00Z", "traits": {"a": 1}})
    assert (o.id, o.source, o.observed_at, o.record_id, o.traits) == ("5", "crm", 1_714_557_600_000_000, None, {"a": 1})
    assert record({"id": "5", "source": "web", "identifiers": named}).source == "web"
    assert record({"identifiers": named}).id == record({"identifiers": named}).id
    assert record({"identifiers": named}).observed_at == AT
    assert record({"identifiers": named, "event": {"type": "page"}}).event == Event("page", "{}")


def test_a_bad_observation_is_rejected_whole_and_other_keys_are_told() -> None:
    o, remarks = taken({"id": "5", "identifiers": [{"namespace": "email", "value": "nobody"}]})
    assert o is None
    assert [(r["severity"], r["code"], r["field"]) for r in remarks] == [
        ("error", "INVALID_IDENTIFIER", "identifiers.0.value")
    ]
    batch = Batch()
    take(Row(1, {"id": "5", "identifiers": [], "recordId": "1", "events": "x"}), task(), batch)
    assert list(batch.notices) == ["the key 'events' is none of an observation's and was left out"]
    assert len(batch.packed) == 1


# --- Columns


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["Kundennummer", "Vorname", "Nachname", "E-Mail-Adresse", "Handy", "Straße", "Ort"],
         "id first_name last_name email email phone phone street city"),
        (["id_client", "Prénom", "Nom", "Courriel", "Numéro de téléphone", "Code postal"],
         "id first_name last_name email email phone phone postcode"),
        (["id_cliente", "Nombre", "Apellidos", "Correo electrónico", "Móvil", "Fecha de nacimiento"],
         "id first_name last_name email email phone phone dob"),
        (["klantnummer", "voornaam", "achternaam", "emailadres", "telefoonnummer", "woonplaats"],
         "id first_name last_name email email phone phone city"),
        (["RECORD_ID", "PRIMARY_NAME_FIRST", "PRIMARY_NAME_LAST", "EMAIL_ADDRESS", "ADDR_CITY", "billing phone 2"],
         "id first_name last_name email email phone phone city"),
    ],
)  # fmt: skip
def test_columns_are_recognised_in_several_languages(columns: list[str], expected: str) -> None:
    found = recognise(Sample([{name: f"{n}" for n, name in enumerate(columns)}]), None, RULES)
    names = [name for name, _ in found.identifiers] + [name for name, _ in found.fields] + ["id"] * bool(found.id)
    assert sorted(names) == sorted(expected.split())


def test_numbers_of_two_systems_are_not_taken_for_each_other() -> None:
    found = recognise(Sample([{"customer_id": "1", "account_id": "2"}]), "shop", RULES)
    assert (found.id, found.identifiers) == ("customer_id", ())


def test_a_column_names_the_record_only_where_its_values_differ() -> None:
    rows = [{"user_id": "1", "order_id": str(n)} for n in range(3)]
    assert recognise(Sample(rows), "shop", RULES).id is None
    assert recognise(Sample([{"order_id": str(n), "user_id": "1"} for n in range(3)]), "shop", RULES).id == "order_id"
    assert recognise(Sample([{"n": 1, "shop_id": str(n)} for n in range(3)]), "shop", RULES).id == "shop_id"


def test_namespaces_of_the_rules_are_recognised() -> None:
    rules = replace(RULES, namespaces={**RULES.namespaces, "badge": NamespaceRule()})
    assert recognise(Sample([{"Badge": "7"}]), "crm", rules).identifiers == (("badge", "Badge"),)


def mapping(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "F.yaml"
    path.write_text(text)
    return path


SAMPLE = Sample([{"Nr": "1", "mail": "a@x.example", "phone": "1", "given": "A"}], ["Nr", "mail", "phone", "given"])


def test_a_mapping_file_says_which_column_is_what(tmp_path: Path) -> None:
    text = "id: nr\nlink_type: dedupe\nfields: {first_name: [given, mail]}\nidentifiers: {loyalty_id: Nr}\n"
    found = read_mapping(mapping(tmp_path, text), SAMPLE, "crm", RULES)
    assert found == Columns(id="Nr", fields=(("first_name", ("given", "mail")),), identifiers=(("loyalty_id", "Nr"),))


def test_what_a_mapping_file_leaves_out_is_recognised(tmp_path: Path) -> None:
    found = read_mapping(mapping(tmp_path, "fields: {first_name: given}"), SAMPLE, "crm", RULES)
    assert found.identifiers == (("email", "mail"), ("phone", "phone"))
    nothing = read_mapping(mapping(tmp_path, "fields:\nidentifiers: {}"), SAMPLE, "crm", RULES)
    assert (nothing.fields, nothing.identifiers) == ((), ())


def test_rows_of_json_may_have_a_column_later(tmp_path: Path) -> None:
    path = mapping(tmp_path, "id: nr\nidentifiers: {email: contact}")
    found = read_mapping(path, Sample(SAMPLE.rows), "crm", RULES)
    assert (found.identifiers, found.missing) == ((("email", "contact"),), ("contact",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: number", r"id names the column 'number', which is not there; there are Nr, mail, phone, given"),
        ("fields: {first_name: [given, x]}", "fields.first_name names the column 'x'"),
        ("identifiers: {email: 3}", "identifiers.email must be the name of a column"),
        ("identifiers: [email]", "identifiers must map names to columns"),
        ("identifiers: {record: mail}", "'record' cannot be a namespace"),
        ("idd: Nr", "unknown key 'idd'"),
        ("- id", "must map some of id"),
        ("{", "no readable YAML"),
    ],
)
def test_a_wrong_mapping_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadMapping, match=message):
        read_mapping(mapping(tmp_path, text), SAMPLE, "crm", RULES)
    with pytest.raises(BadMapping, match="no readable YAML"):
        read_mapping(tmp_path / "none.yaml", SAMPLE, "crm", RULES)


def test_strict_rules_know_their_namespaces(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="strict"):
        read_mapping(mapping(tmp_path, "identifiers: {badge: mail}"), SAMPLE, "crm", replace(RULES, strict=True))


def test_records_need_a_source(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,system\n1,shop\n")
    with pytest.raises(BadMapping, match="--source"):
        prepare(path, None, None, RULES)
    assert prepare(path, "crm", None, RULES).task.columns.source is None
    assert prepare(path, None, mapping(tmp_path, "source: system"), RULES).task.columns.source == "system"


# --- Batches


def test_types_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    moment = datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC)
    table = {
        "id": [1],
        "updated_at": pa.array([moment], pa.timestamp("us", "UTC")),
        "dob": [datetime.date(1990, 12, 10)],
        "spent": [decimal.Decimal("12.50")],
        "share": [float("nan")],
        "tags": [["a", "b"]],
        "raw": [b"\xffx"],
        "inner": [{"a": 1, "b": None}],
    }
    parquet.write_table(pa.table(table), path)
    columns = Columns(id="id", observed_at="updated_at")
    (batch,) = batches(task(columns, path=path))
    (o,) = batch.observations()
    assert not batch.remarks
    assert o.observed_at == 1_714_557_600_000_000
    assert o.traits == {
        "dob": "1990-12-10",
        "spent": "12.50",
        "tags": ["a", "b"],
        "raw": "�x",
        "inner": {"a": 1, "b": None},
    }


VALUES = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4)
NAMED = st.lists(st.tuples(st.sampled_from(["email", "user_id", "cookie_id", "shop"]), VALUES), max_size=5)


@given(
    NAMED,
    st.none() | VALUES,
    st.none() | st.dictionaries(VALUES, VALUES, max_size=2),
    st.sampled_from([None, {"type": "page"}, {"type": "purchase", "properties": {"value": 2}}]),
)
def test_an_observation_survives_being_sent(
    named: list[tuple[str, str]], record: str | None, traits: Any, event: Any
) -> None:
    identifiers = [{"namespace": n, "value": f"{v}@x.example" if n == "email" else v} for n, v in named]
    cells = {"id": "1", "identifiers": identifiers, "recordId": record, "traits": traits, "event": event}
    batch = Batch()
    take(Row(1, cells), task(), batch)
    for packed in batch.packed:
        assert pack(unpack(packed)) == packed
    if batch.packed and not record:
        (o,) = batch.observations()
        assert len(o.pairs) == len(o.identifiers) * (len(o.identifiers) - 1) // 2
        assert all(a < b for a, b, _ in o.pairs)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_parse_as_one_does(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"id": n, "email": f"{n}@x.example"} if n % 9 else {"id": [n]} for n in range(1100)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    how = task(Columns(id="id", identifiers=(("email", "email"),)), path=path)
    alone = list(batches(how))
    monkeypatch.setattr("identity_graph.services.ingest_worker.SMALL", 0)
    with reading(how, workers) as parsed:
        together = list(parsed)
    assert together == alone
    assert [batch.rows for batch in alone] == [250, 250, 250, 250, 100]
    assert sum(len(batch.remarks) for batch in alone) == 123
