"""Values as the comparisons want them: transliterated, lower case, split, dated, or missing.

Every function takes text as it came and returns normalised text or None for missing; raw values are never
changed in place. `normalise_record` is the one definition, used for a single record in real time; `batch.py`
applies the same functions to the distinct values of a table.
"""

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
import pycountry
from anyascii import anyascii
from nameparser import HumanName
from nicknames import NickNamer

MAX_LENGTH = 200  # longer text is no name, address or identifier; what follows is cut off before any work

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]+")
_JUNK = frozenset(
    "na n/a n.a. nan nil none null unknown unk undefined missing "
    "empty test xxx x anonymous anon guest deceased tbc tbd tba dummy refused declined withheld fnu lnu "
    "? - -- . 0 #n/a".split()
) | {
    "not known",
    "not provided",
    "not available",
    "no data",
    "not given",
    "no name",
    "no first name",
    "no last name",
    "not applicable",
    "[object object]",
}
_SUFFIXES = {
    "jr": "jr", "junior": "jr", "jnr": "jr", "sr": "sr", "senior": "sr", "snr": "sr",
    "ii": "ii", "2nd": "ii", "iii": "iii", "3rd": "iii", "iv": "iv", "4th": "iv",
}  # fmt: skip
_TITLES = frozenset("mr mrs ms miss dr prof sir dame lady lord rev reverend mx herr frau".split())
_PARTICLES = frozenset(
    "de la le du des del della di da dos das do van von der den ter ten zu zur al el bin ibn abu bint of the".split()
)
_CJK = re.compile(r"[\u3400-\u9fff\uac00-\ud7af]")
_ROLE_MAILBOXES = frozenset(
    "noreply no-reply donotreply do-not-reply info admin postmaster test none null na unknown".split()
)
_COUNTING = "01234567890123456789 98765432109876543210"
_LONG = ("BR", "CN")  # whose own numbers have eleven digits and no trunk zero before them
_COUNTRIES = {"uk": "GB", "england": "GB", "scotland": "GB", "wales": "GB"}  # what ISO 3166 does not list
_STREET_WORDS = {
    "street": "st", "str": "st", "strasse": "st", "avenue": "ave", "av": "ave", "road": "rd", "drive": "dr",
    "lane": "ln", "court": "ct", "place": "pl", "boulevard": "blvd", "crescent": "cres", "close": "cl",
    "terrace": "tce", "ter": "tce", "terr": "tce", "circuit": "cct", "square": "sq", "highway": "hwy",
    "parkway": "pkwy", "parade": "pde", "grove": "gr", "north": "n", "south": "s", "east": "e", "west": "w",
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw", "mount": "mt", "saint": "st",
}  # fmt: skip
_STREET_ENDS = frozenset("st ave rd dr ln ct pl blvd cres cl tce cct sq hwy pkwy pde gr way walk mews row".split())
_COMPASS = frozenset("n s e w ne nw se sw".split())
_LEGAL_FORMS = frozenset("inc ltd llc plc gmbh ag sa srl bv nv co corp corporation company limited the".split())
_UNIT = re.compile(
    r"\b(suite|ste|apt|appt|apartment|unit|flat|bldg|bld|building|floor|fl|room|penthouse)\b[ .#]*[\w-]*"
)
_MONTHS = {name: i for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_NICKNAMES = NickNamer()


class Name(NamedTuple):
    """Parts of a full name, each normalised or None."""

    first: str | None = None
    middle: str | None = None
    last: str | None = None
    suffix: str | None = None


def clean(value: str | None) -> str | None:
    """One trimmed line without control characters, or None for a missing or junk value."""
    if value is None:
        return None
    text = _CONTROL.sub(" ", value[:MAX_LENGTH]).strip()
    return None if not text or text.lower() in _JUNK else text


def ascii_words(value: str | None) -> str | None:
    """Transliterated lower-case words and digits, single spaces between: `Müller-Lü` → `muller lu`."""
    text = clean(value)
    if text is None:
        return None
    if not text.isascii():
        text = _transliterate(text)
    text = re.sub(r"['’`.]", "", text.lower())
    text = re.sub(r"[^a-z0-9]+", " ", text).strip()
    return None if not text or text in _JUNK else text


def _transliterate(text: str) -> str:
    # Each Han or Hangul sign becomes a capitalised syllable; the space keeps family and given name apart.
    return anyascii(re.sub(_CJK, lambda sign: " " + sign.group(), text))


def person_name(value: str | None) -> str | None:
    """A name part as words of letters; suffixes stay, digits go."""
    text = ascii_words(value)
    if text is None:
        return None
    text = re.sub(r"[0-9]+", "", text).strip()
    text = re.sub(r" +", " ", text)
    if not text or text in _JUNK or (len(text) > 2 and len(set(text)) == 1):
        return None
    return text


def given_names(first: str | None, middle: str | None = None) -> tuple[str | None, str | None, str | None]:
    """First given name, the others as one text, and the generation suffix."""
    tokens = [t for t in (person_name(first) or "").split() if t not in _TITLES]
    rest = (person_name(middle) or "").split()
    suffix = None
    if len(tokens) > 1 and tokens[-1] in _SUFFIXES:
        suffix = _SUFFIXES[tokens.pop()]
    if first and _CJK.search(first):  # its signs are the syllables of one name
        tokens = ["".join(tokens)] if tokens else []
    others = tokens[1:] + rest
    return (tokens[0] if tokens else None), (" ".join(others) or None), suffix


def family_name(value: str | None) -> tuple[str | None, str | None]:
    """Family name without spaces inside (`van der berg` → `vanderberg`) and the generation suffix."""
    tokens = (ascii_words(value) or "").split()
    suffix = None
    if len(tokens) > 1 and tokens[-1] in _SUFFIXES:
        suffix = _SUFFIXES[tokens[-1]]
        tokens = tokens[:-1]
    name = person_name("".join(tokens))
    return name, suffix


def generation(value: str | None) -> str | None:
    """`Jr.`, `junior`, `III` … as one of jr, sr, ii, iii, iv."""
    return _SUFFIXES.get((ascii_words(value) or "").replace(" ", ""))


def family_parts(value: str | None) -> list[str] | None:
    """The words of a double or particled family name, to meet either of them: `medina sentosa` → both."""
    tokens = [t for t in (person_name(value) or "").split() if t not in _SUFFIXES]
    parts = [t for t in tokens if len(t) > 2 and t not in _PARTICLES]
    whole = "".join(tokens)
    if not whole:
        return None
    return sorted({whole, *parts})


@lru_cache(maxsize=200_000)
def nicknames(first: str | None) -> list[str] | None:
    """A given name with the full names that it may stand for: `bob` → bob, robert, …."""
    if first is None:
        return None
    spellings = {first, re.sub(r"ie$", "y", first), re.sub(r"y$", "ie", first)}
    return sorted({first}.union(*(_NICKNAMES.canonicals_of(s) for s in spellings)))


def spellings(first: str | None, others: str | None) -> list[str] | None:
    """`nicknames`, and the name written together with the one that follows it: `mary` `ann` → maryann, mary, …."""
    names = nicknames(first)
    return names if names is None or not others else sorted({*names, f"{first}{others.split()[0]}"})


def full_name(value: str | None) -> Name:
    """Split a full name in any of the usual orders."""
    text = clean(value)
    if text is None:
        return Name()
    if _CJK.search(text):
        # The family name ends at the first space that is written, else with the first sign.
        family, *given = text.split() if len(text.split()) > 1 else (person_name(text) or "").split() or [""]
        return Name(first="".join((person_name(" ".join(given)) or "").split()) or None, last=family_name(family)[0])
    if "," not in text and "(" not in text:
        words = (person_name(text) or "").split()
        words = [w for w in words if w not in _TITLES]
        if len(words) == 1:
            return Name(last=words[0])
        if len(words) == 2 and not (set(words) & _PARTICLES) and words[1] not in _SUFFIXES:
            return Name(words[0], None, words[1])
    parsed = HumanName(text if text.isascii() else anyascii(text))
    first, middle, given_suffix = given_names(parsed.first, parsed.middle)
    last, suffix = family_name(parsed.last)
    return Name(first, middle, last, suffix or generation(parsed.suffix) or given_suffix)


def organisation(value: str | None) -> str | None:
    """The words of an organisation's name in alphabetical order, without legal forms."""
    words = (ascii_words(value) or "").split()
    return " ".join(sorted(w for w in words if w not in _LEGAL_FORMS)) or None


def gender(value: str | None) -> str | None:
    """f or m, else None."""
    text = ascii_words(value) or ""
    if text in {"f", "female", "woman", "w", "weiblich", "mujer", "femme"}:
        return "f"
    if text in {"m", "male", "man", "mannlich", "hombre", "homme"}:
        return "m"
    return None


def email(value: str | None) -> str | None:
    """Lower-case address without display name or plus tag; role mailboxes and non-addresses are missing."""
    text = clean(value)
    if text is None:
        return None
    if found := re.search(r"<([^<>]+)>", text):
        text = found.group(1)
    text = text.strip().lower()
    match = re.fullmatch(r"([^\s@\"]+)@([^\s@]+)", text)
    if not match:
        return None
    user, domain = match.group(1).split("+")[0], match.group(2).strip(".")
    filled_in = len(set(user)) == 1 and user == domain.split(".")[0]  # a@a.com
    if not user or user in _ROLE_MAILBOXES or filled_in or ("." not in domain and len(domain) < 3):
        return None
    return f"{user}@{domain}"


def phone(value: str | None, country: str | None = None) -> str | None:
    """National digits, without country code and trunk prefix; fewer than 6, all alike or counting is missing.

    A number without a country code is read as one of the `country`, an ISO code or an English name. Where it is no
    number there, eleven digits or more are a country code and a number if they can be that and nothing else.
    """
    text = clean(value)
    if text is None:
        return None
    text = re.split(r"(?i)\s*(?:ext|x)\.?\s*\d+$", text)[0].replace("(0)", "")
    if text.startswith(("+", "00")):
        try:
            return _real_digits(str(phonenumbers.parse("+" + text.lstrip("+0"), None).national_number))
        except phonenumbers.NumberParseException:
            pass
    digits = re.sub(r"\D", "", text)
    found = (region := _region(country)) and _national(digits, region)
    if not found and len(digits) >= 11 and digits[0] != "0":
        own = not re.match(r"1\D", text) and digits in (_national(digits, r) for r in _LONG)
        found = None if own else _national("+" + digits, None)
    return _real_digits(found or digits.lstrip("0"))


def _national(digits: str, region: str | None) -> str | None:
    """The national digits of a valid number."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return str(number.national_number) if phonenumbers.is_valid_number(number) else None


@lru_cache(maxsize=10_000)
def _region(country: str | None) -> str | None:
    text = clean(country)
    if text is None:
        return None
    try:
        return str(pycountry.countries.lookup(_COUNTRIES.get(text.lower(), text)).alpha_2)
    except LookupError:
        return None


def _real_digits(digits: str) -> str | None:
    return digits if len(digits) >= 6 and len(set(digits)) > 2 and digits not in _COUNTING else None


def identifier(value: str | None) -> str | None:
    """Letters and digits in upper case; shorter than 3, one sign repeated or nine digits counting is missing."""
    text = ascii_words(value)
    if text is None:
        return None
    text = text.replace(" ", "").upper()
    counting = len(text) >= 9 and text in _COUNTING
    return text if len(text) >= 3 and len(set(text)) > 1 and not counting else None


def postcode(value: str | None) -> str | None:
    """Without spaces; a nine-digit ZIP+4 is cut to its five."""
    text = (ascii_words(value) or "").replace(" ", "")
    if re.fullmatch(r"\d{9}", text):
        text = text[:5]
    return text if len(text) >= 3 and set(text) != {"0"} else None


def house_number(value: str | None) -> str | None:
    """Digits with a letter, as in 12b."""
    text = (ascii_words(value) or "").replace(" ", "")
    return text if re.search(r"\d", text) and set(text) != {"0"} else None


class Address(NamedTuple):
    """What a written address gives away."""

    house_number: str | None = None
    street: str | None = None
    postcode: str | None = None


def street_line(value: str | None) -> Address:
    """House number and street of an address line, in short forms; a postcode where one is written."""
    text = clean(value)
    if text is None:
        return Address()
    lowered = _transliterate(text).lower() if not text.isascii() else text.lower()
    code = re.search(r"\b([a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2})\b|(?<!^)\b(\d{5})(?:-\d{4})?\b(?=\D*$)", lowered)
    written = postcode(code.group(0)) if code else None
    if code:
        lowered = lowered[: code.start()]
    lowered = _UNIT.sub(" ", lowered)
    lines = [line for line in lowered.split(",") if line.strip()]
    numbered = [line for line in lines if re.search(r"\d", line)] or lines[:1]
    words = (ascii_words(numbered[0]) or "").split() if numbered else []
    words = [_STREET_WORDS.get(w, re.sub(r"strasse$|str$", "st", w) if len(w) > 6 else w) for w in words]
    number = next((w for w in words if w[0].isdigit()), None)
    if number is not None:
        at = words.index(number)
        # What stands before the number names a building; but "straße 12" has the number behind.
        words = (
            words[at + 1 :] if at and any(w in _STREET_ENDS for w in words[at + 1 :]) else words[:at] + words[at + 1 :]
        )
        number = re.sub(r"^0+", "", number) or None
    if len(words) > 2 and words[0] in _COMPASS:
        words = words[1:]
    ends = [i for i, w in enumerate(words) if w in _STREET_ENDS and i > 0]
    if ends and len(words) > ends[0] + 1:
        words = words[: ends[0] + 1]
    return Address(number, " ".join(words) or None, written)


class DateOrder(NamedTuple):
    """How all-digit dates of one column are read; found in the column, never assumed silently."""

    day_first: bool
    day_first_seen: int
    month_first_seen: int
    ambiguous: int


_NUMERIC_DATE = re.compile(r"(\d{1,2})[./\- ](\d{1,2})[./\- ](\d{4}|\d{2})")


def date_order(values: Mapping[str, int]) -> DateOrder:
    """Decide day-first or month-first from the values (with counts) that can only be read one way."""
    day = month = both = 0
    for value, count in values.items():
        if match := _NUMERIC_DATE.match(value.strip()):
            a, b = int(match.group(1)), int(match.group(2))
            if a > 12 >= b:
                day += count
            elif b > 12 >= a:
                month += count
            elif a != b:
                both += count
    return DateOrder(day > month or (day == month == 0), day, month, both)


def date(value: str | None, day_first: bool = True) -> str | None:
    """A date as `YYYY-MM-DD`, or None.

    ISO, compact, numeric (read by `day_first`, the other way where only that is possible) and written months.
    A date that no calendar has keeps its digits when it is in ISO form: it still tells two records apart.
    """
    text = clean(value)
    if text is None:
        return None
    text = text.split("T")[0] if re.match(r"\d{4}-\d\d-\d\dT", text) else text
    text = re.sub(r" \d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?(UTC|Z))?$", "", text)
    if re.fullmatch(r"\d{5,8}\.0", text):
        text = text[:-2]
    if match := re.fullmatch(r"(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})", text):
        return _iso(*match.groups())
    if match := re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text):
        return _iso(*match.groups())
    if match := re.fullmatch(_NUMERIC_DATE, text):
        first, second, year = match.groups()
        a, b = int(first), int(second)
        day_leads = (day_first and b <= 12) or a > 12
        day, month = (first, second) if day_leads else (second, first)
        return _iso(_century(year), month, day)
    if match := re.fullmatch(r"([A-Za-z]{3})[a-z]*\.?[ -](\d{1,2})(?:st|nd|rd|th)?,?[ -](\d{4}|\d{2})", text):
        name, day, year = match.groups()
    elif match := re.fullmatch(r"(\d{1,2})(?:st|nd|rd|th)?[ -]([A-Za-z]{3})[a-z]*\.?,?[ -](\d{4}|\d{2})", text):
        day, name, year = match.groups()
    else:
        return None
    written_month = _MONTHS.get(name.lower())
    return _iso(_century(year), str(written_month), day) if written_month else None


def _century(year: str) -> str:
    if len(year) == 4:
        return year
    this = dt.datetime.now(dt.UTC).year
    full = this - this % 100 + int(year)
    return str(full if full <= this else full - 100)


def _iso(year: str, month: str, day: str) -> str | None:
    """The date of a birth; what forms fill in where it is unknown, and what is still to come, is none."""
    found = f"{int(year):04d}-{int(month):02d}-{int(day):02d}"
    if int(year) < 1000 or (int(month), int(day)) == (0, 0) or found == "1900-01-01":
        return None
    return found if found <= dt.datetime.now(dt.UTC).date().isoformat() else None


def date_from_parts(year: str | None, month: str | None, day: str | None) -> str | None:
    """`YYYY-MM-DD` from columns of their own; None unless all three are numbers."""
    parts = [re.sub(r"\.0$", "", (clean(p) or "")) for p in (year, month, day)]
    if not all(p.isdigit() for p in parts) or len(parts[0]) not in (2, 4):
        return None
    return _iso(_century(parts[0]), parts[1], parts[2])


def birth_year_at_age(value: str | None) -> str | None:
    """The year of birth of somebody of this age in 2000: only differences count, and when it was told is unknown."""
    text = re.sub(r"\.0$", "", clean(value) or "")
    return str(2000 - int(text)) if re.fullmatch(r"\d{1,2}|1[01]\d", text) and text != "0" else None


def birth_year(value: str | None) -> str | None:
    """A four-digit year."""
    text = re.sub(r"\.0$", "", clean(value) or "")
    return text if re.fullmatch(r"1[5-9]\d\d|20\d\d", text) else None
