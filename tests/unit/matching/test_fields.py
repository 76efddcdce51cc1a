"""Columns recognised by name; a mapping file overrides; what cannot be used is named."""

from pathlib import Path

import pytest

from matching.errors import InputError
from matching.fields import FieldMap, field_map_from, load_field_map, recognise


def recognised(*columns: str) -> FieldMap:
    return recognise(columns, dict.fromkeys(columns, True))


@pytest.mark.parametrize(
    ("column", "role"),
    [
        (" given_name", "first_name"), ("FirstName", "first_name"), ("fname_c1", "first_name"),
        ("surname", "last_name"),
        ("PRIMARY_NAME_LAST", "last_name"), ("PERNAME2", "last_name"), ("date_of_birth", "dob"),
        ("DOB_YEAR", "birth_year"),
        ("by", "birth_year"), ("soc_sec_id", "national_id"), ("SSN_NUMBER", "national_id"), ("suburb", "city"),
        ("postcode_fake", "postcode"), ("ADDR_POSTAL_CODE", "postcode"), ("EMAIL_ADDRESS", "email"),
        ("mobile", "phone"),
        ("home_phone", "phone"), ("address_1", "street"), ("street_number", "house_number"), ("SEX", "gender"),
        ("full_name", "full_name"), ("birth_place", "birth_place"), ("state", "region"),
    ],
)  # fmt: skip
def test_columns_of_many_conventions(column: str, role: str):
    assert recognised("record_id", column).fields == {role: (column,)}


@pytest.mark.parametrize("column", ["cluster", "ent_id", "amount", "status", "entity", "true_id"])
def test_what_is_no_field_is_left_alone(column: str):
    assert not recognise(["record_id", column], {"record_id": True, column: False}).fields


def test_an_id_must_be_unique():
    assert recognise(["rec_id"], {"rec_id": False}).id is None
    assert recognise(["rec_id"], {"rec_id": True}).id == "rec_id"


def test_second_given_name_beside_a_surname():
    assert recognised("fname", "sname", "surname").fields["middle_name"] == ("sname",)
    assert recognised("fname", "sname").fields["last_name"] == ("sname",)


def test_a_mapping_overrides(tmp_path: Path):
    file = tmp_path / "F.yaml"
    file.write_text(
        "id: key\nsource: sys\nlink_type: link\nfields: {first_name: a, hobby: b}\nidentifiers: {crm_id: c}\n"
    )
    found = load_field_map(file, ["key", "sys", "a", "b", "c"], {})
    assert (found.id, found.source, found.link_type) == ("key", "sys", "link")
    assert found.fields == {"first_name": ("a",), "hobby": ("b",)}
    assert found.identifiers == {"crm_id": "c"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"fields": {"dob": "birthday"}}, "birthday"),
        ({"link_type": "merge"}, "merge"),
        ({"colums": {}}, "colums"),
        ({"fields": ["a"]}, "fields"),
    ],
)
def test_a_wrong_mapping_is_named(given: dict[str, object], named: str):
    with pytest.raises(InputError, match=named):
        field_map_from(given, ["a"], {})
