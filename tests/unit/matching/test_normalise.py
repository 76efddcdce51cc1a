"""Values in, comparable values out; what cannot be read is missing, never guessed in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching import normalise as n


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Robert Smith", n.Name("robert", None, "smith")),
        ("Charney, Peggie", n.Name("peggie", None, "charney")),
        ("van der Berg, Jan", n.Name("jan", None, "vanderberg")),
        ("Dr. Juan Q. Xavier de la Vega III", n.Name("juan", "q xavier", "delavega", "iii")),
        ("王杰", n.Name("jie", None, "wang")),
        ("田中 太郎", n.Name("tailang", None, "tianzhong")),
        ("欧阳\u3000小明", n.Name("xiaoming", None, "ouyang")),
        ("김 철수", n.Name("cheolsu", None, "gim")),
        ("王", n.Name(None, None, "wang")),
        ("ВАСИЛЬЕВ, Александр Павлович", n.Name("aleksandr", "pavlovich", "vasilev")),
        ("unknown", n.Name()),
        (None, n.Name()),
    ],
)
def test_full_names(text: str | None, expected: n.Name):
    assert n.full_name(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dobbins Jr", ("dobbins", "jr")),
        ("Dobbins Senior", ("dobbins", "sr")),
        ("O'Brien", ("obrien", None)),
        ("Müller-Lüdenscheidt", ("mullerludenscheidt", None)),
        ("xxx", (None, None)),
        ("no last name", (None, None)),
        ("TBA", (None, None)),
    ],
)
def test_family_names_and_their_suffix(text: str, expected: tuple[str | None, str | None]):
    assert n.family_name(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Robert Jr", ("robert", None, "jr")),
        ("Mary Ann III", ("mary", "ann", "iii")),
        ("Junior", ("junior", None, None)),
        ("太郎", ("tailang", None, None)),
        ("Dr. Ada", ("ada", None, None)),
        ("refused", (None, None, None)),
        ("Declined", (None, None, None)),
        ("no first name", (None, None, None)),
    ],
)
def test_given_names_and_their_suffix(text: str, expected: tuple[str | None, str | None, str | None]):
    assert n.given_names(text) == expected


def test_a_double_name_meets_either_of_its_words():
    assert set(n.family_parts("Medina Sentosa") or []) == {"medina", "sentosa", "medinasentosa"}


def test_nicknames_meet_their_full_name():
    assert set(n.nicknames("bob") or []) & set(n.nicknames("robert") or [])
    assert set(n.nicknames("peggie") or []) & set(n.nicknames("margaret") or [])
    assert not set(n.nicknames("albert") or []) & set(n.nicknames("robert") or [])


@pytest.mark.parametrize(
    ("text", "day_first", "expected"),
    [
        ("1970-03-01", True, "1970-03-01"),
        ("19700301", True, "1970-03-01"),
        ("3/1/1970", False, "1970-03-01"),
        ("3/1/1970", True, "1970-01-03"),
        ("20/8/1991", False, "1991-08-20"),
        ("Mar 1 1970", True, "1970-03-01"),
        ("24-May-11", True, "2011-05-24"),
        ("3/1/70", False, "1970-03-01"),
        ("1970-03-01T00:00:00", True, "1970-03-01"),
        ("soon", True, None),
        ("0000-00-00", True, None),
        ("1900-01-01", True, None),
        ("1/1/1900", True, None),
        ("1900-01-02", True, "1900-01-02"),
        ("9999-12-31", True, None),
        ("2999-01-01", True, None),
    ],
)
def test_dates(text: str, day_first: bool, expected: str | None):
    assert n.date(text, day_first) == expected


def test_the_order_of_dates_is_read_from_the_column():
    american = n.date_order({"12/31/1990": 5, "20/8/1991": 1, "3/4/1990": 7})
    assert (american.day_first, american.month_first_seen, american.day_first_seen, american.ambiguous) == (
        False,
        5,
        1,
        7,
    )
    assert n.date_order({"31.12.1990": 2, "3.4.1990": 9}).day_first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+44 20 7946 0958", "020 7946 0958"),
        ("702-919-1300", "(702) 919 1300"),
        ("+44 (0)20 7946 0958", "02079460958"),
        ("1-702-919-1300", "702-919-1300"),
        ("12025550123", "202 555 0123"),
        ("442079460958", "020 7946 0958"),
        ("0049 1512 3456789", "01512 3456789"),
        ("+86 180 1234 5678", "180 1234 5678"),
        ("+55 (51) 98765-4321", "(51) 98765-4321"),
        ("5551987654321", "(51) 98765-4321"),
    ],
)
def test_phones_with_and_without_country(one: str, other: str):
    assert n.phone(one) == n.phone(other) is not None


@pytest.mark.parametrize(
    ("text", "country", "digits"),
    [
        ("8 (912) 345-67-89", "RU", "9123456789"),
        ("8 (912) 345-67-89", "Russian Federation", "9123456789"),
        ("06 1 472 8865", "HUN", "14728865"),
        ("020 7946 0958", "uk", "2079460958"),
        ("8 (912) 345-67-89", "nowhere", "89123456789"),
        ("442079460958", "GB", "2079460958"),
        ("442079460958", "US", "2079460958"),
        ("+44 20 7946 0958", "RU", "2079460958"),
        ("12 34 56 8", "DE", "1234568"),
        ("17029191300", "US", "7029191300"),
        ("17029191300", "CN", "17029191300"),
    ],
)
def test_phones_are_read_by_the_country(text: str, country: str, digits: str):
    assert n.phone(text, country) == digits


@pytest.mark.parametrize(
    "text", ["0000000", "n/a", "123", "1111111111", "", "1234567890", "0123456789", "987-654-3210", "123456"]
)
def test_junk_phones_are_missing(text: str):
    assert n.phone(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada+news@Example.COM", "ada@example.com"),
        ('"Jay Jones" <jjones@fmail.com>', "jjones@fmail.com"),
        ("noreply@shop.com", None),
        ("not an address", None),
        ("a@a.com", None),
        ("xxx@xxx.org", None),
        ("a@b.com", "a@b.com"),
        ("refused", None),
    ],
)
def test_emails(text: str, expected: str | None):
    assert n.email(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab-123 45", "AB12345"), ("123456", "123456"), ("123-45-6789", None), ("987654321", None),
        ("000-00-0000", None), ("declined", None), ("n/a", None),
    ],
)  # fmt: skip
def test_identifiers(text: str, expected: str | None):
    assert n.identifier(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("123 Main Street", "123 E Main St."),
        ("Adventura Apartments 638 Downey St", "638 Downey Street, Salem, OR"),
        ("Suite 900, 1450 N City Rd", "1450 City Road"),
        ("Hardenbergstraße 87", "Hardenbergstr. 87"),
    ],
)
def test_one_address_written_two_ways(one: str, other: str):
    a, b = n.street_line(one), n.street_line(other)
    assert (a.house_number, a.street) == (b.house_number, b.street)
    assert a.street


@given(st.text(max_size=60))
def test_any_text_is_taken_and_normalising_again_changes_nothing(text: str):
    for function in (n.ascii_words, n.person_name, n.email, n.phone, n.identifier, n.postcode, n.organisation):
        once = function(text)
        assert once is None or function(once) == once, function.__name__
    for function in (n.full_name, n.street_line, n.date, n.gender, n.house_number, n.nicknames):
        function(text)


@pytest.mark.parametrize(
    ("age", "year"), [("30", "1970"), ("31.0", "1969"), ("103", "1897"), ("0", None), ("150", None), ("adult", None)]
)
def test_ages_differ_as_years_do(age: str, year: str | None):
    assert n.birth_year_at_age(age) == year


def test_huge_text_costs_little():
    assert len(n.person_name("a b" * 5_000_000) or "") <= n.MAX_LENGTH
