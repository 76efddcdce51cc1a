"""Columns recognised by name; a mapping file overrides; what cannot be used is named."""

from pathlib import Path

import pytest

from matching.errors import InputError
from matching.fields import NAMES, FieldMap, field_map_from, load_field_map, recognise, words


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
        ("mail", "email"), ("Prénom", "first_name"), ("Straße", "street"), ("Código postal", "postcode"),
        ("Date de naissance", "dob"), ("Apellido materno", "last_name_2"), ("numero_civico", "house_number"),
        ("phone_2", "phone"), ("full_phone_num", "phone"), ("res_city_desc", "city"), ("state_cd", "region"),
        ("Billing Street", "street"), ("first", "first_name"), ("Last", "last_name"), ("age", "age"),
    ],
)  # fmt: skip
def test_columns_of_many_conventions(column: str, role: str):
    assert recognised("record_id", column).fields == {role: (column,)}


@pytest.mark.parametrize("column", ["cluster", "ent_id", "amount", "status", "entity", "true_id"])
def test_what_is_no_field_is_left_alone(column: str):
    assert not recognise(["record_id", column], {"record_id": True, column: False}).fields


def test_what_is_not_used_is_told():
    found = recognised("record_id", "mail", "amount", "name_prefix")
    assert found.unused == ("amount", "name_prefix")
    assert ("(not used)", "amount, name_prefix") in found.describe()


def test_every_listed_name_is_its_field_alone():
    for field, names in NAMES.items():
        for name in names.split():
            assert words(name) == name
            if field != "country":
                assert recognised("record_id", name).fields == {field: (name,)}
            else:
                assert recognised("record_id", "mobile", name).fields == {"phone": ("mobile",), field: (name,)}


def test_a_country_is_used_beside_a_phone_only():
    found = recognised("record_id", "first_name", "country")
    assert (found.fields, found.unused) == ({"first_name": ("first_name",)}, ("country",))


@pytest.mark.parametrize(
    ("name", "plain"),
    [("dateOfBirth", "date_of_birth"), ("Numéro de Tél.", "numero_de_tel"), ("STRASSE", "strasse"),
     ("Straße", "strasse"), (" e-mail ", "e_mail"), ("PLZ/Ort", "plz_ort")],
)  # fmt: skip
def test_names_are_compared_by_their_words(name: str, plain: str) -> None:
    assert words(name) == plain


def test_an_id_must_be_unique():
    assert recognise(["rec_id"], {"rec_id": False}).id is None
    assert recognise(["rec_id"], {"rec_id": True}).id == "rec_id"


def test_second_given_name_beside_a_surname():
    assert recognised("fname", "sname", "surname").fields["middle_name"] == ("sname",)
    assert recognised("fname", "sname").fields["last_name"] == ("sname",)


def test_a_mapping_overrides(tmp_path: Path):
    file = tmp_path / "F.yaml"
    file.write_text(
        "id: key\nsource: sys\nobserved_at: c\nlink_type: link\n"
        "fields: {first_name: a, hobby: b}\nidentifiers: {crm_id: c}\n"
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
