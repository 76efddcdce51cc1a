"""The true people behind the demo data, and the cast that the demo shows."""

import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from identity_graph.demo.draws import chance, common_first, fill, hexes, plain_ascii, stream, typo, uuid
from identity_graph.demo.words import COUNTRIES, MAIL_HOSTS, PHONES, TABLETS, Country

Pair = tuple[str, str]

#: What is added to a person's number in a customer number, in that of a second card, and in an account's.
CARD, SECOND_CARD, ACCOUNT = 10_001, 70_001, 500_001


@dataclass(frozen=True, slots=True)
class Home:
    """A household's address, its shared landline and, in some, the tablet that everybody there uses."""

    country: Country
    street: str
    house_number: str
    postcode: str
    city: str
    landline: str
    tablet: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A phone or tablet with the advertising id that its system hands out (`idfa` or `gaid`)."""

    id: str
    model: str
    ad: Pair


@dataclass(frozen=True, slots=True)
class Person:
    """One true person and every identifier that a source may see; None where they are no customer of that source.

    `email` is what they give the CRM, `web_email` what they give the shop: the same for most people. A person who
    `hides` gives the CRM and the shop nothing in common, so that only their traits tell that it is one person.
    """

    number: int
    first: str
    last: str
    dob: date
    home: Home
    email: str
    web_email: str
    mobile: str
    crm_id: str | None
    user_id: str | None
    loyalty_id: str | None
    devices: tuple[Device, ...]
    cookies: tuple[str, ...]
    hides: bool = False


@dataclass
class World:
    """Everybody, and the few who are shown in the demo (they come first in `people`)."""

    people: list[Person]
    star: Person
    father: Person
    son: Person
    hidden: Person
    siblings: tuple[Person, Person]
    seller: Person
    heir: Person
    handed_down: Device
    emails: set[str] = field(default_factory=set[str])


def written_name(rng: Random, person: Person) -> tuple[str, str]:
    """First and last name as they end up in a form: nicknames, no accents, slips."""
    first, last = person.first, person.last
    if chance(rng, 0.35):
        first = person.home.country.nicknames.get(first, first)
    if chance(rng, 0.15):
        first, last = plain_ascii(first), plain_ascii(last)
    if chance(rng, 0.04):
        first = typo(rng, first)
    if chance(rng, 0.05):
        last = typo(rng, last)
    return first, last


def _mailbox(rng: Random, first: str, last: str, born: int, taken: set[str], work: bool = False) -> str:
    f, s = (re.sub("[^a-z]", "", plain_ascii(part).lower()) for part in (first, last))
    host = MAIL_HOSTS[-1] if work else common_first(rng, MAIL_HOSTS[:-1])
    local = (
        f"{f}.{s}" if work else rng.choice((f"{f}.{s}", f"{f[0]}.{s}", f"{f}{s}", f"{f}{born % 100:02}", f"{f}_{s}"))
    )
    email, n = f"{local}@{host}", 2
    while email in taken:
        email, n = f"{local}{n}@{host}", n + 1
    taken.add(email)
    return email


def _device(rng: Random, tablet: bool = False) -> Device:
    model = rng.choice(TABLETS if tablet else PHONES)
    apple = model.startswith("iP")
    ad = ("idfa", uuid(rng).upper()) if apple else ("gaid", uuid(rng))
    return Device(id=hexes(rng, 16), model=model, ad=ad)


def _home(rng: Random, country: Country) -> Home:
    return Home(
        country=country,
        street=rng.choice(country.streets),
        house_number=f"{rng.randrange(1, 180)}{rng.choice(('', '', '', '', 'A', 'B'))}",
        postcode=fill(rng, country.postcode),
        city=common_first(rng, country.cities),
        landline=fill(rng, country.landline),
        tablet=f"tab-{hexes(rng, 10)}" if chance(rng, 0.06) else None,
    )


def _person(
    rng: Random, number: int, home: Home, last: str, born: int, namesake: str | None, taken: set[str]
) -> Person:
    country = home.country
    first = namesake or common_first(rng, rng.choice((country.women, country.men)))
    email = _mailbox(rng, first, last, born, taken)
    hides = chance(rng, 0.03)
    two = hides or chance(rng, 0.12)
    account, card = hides or chance(rng, 0.36), not hides and chance(rng, 0.28)
    return Person(
        number=number,
        first=first,
        last=last,
        dob=date(born, 1, 1) + timedelta(days=rng.randrange(365)),
        home=home,
        email=email,
        web_email=_mailbox(rng, first, last, born, taken, work=chance(rng, 0.4)) if two else email,
        mobile=fill(rng, country.mobile),
        crm_id=f"C-{number + CARD}" if hides or not (account or card) or chance(rng, 0.55) else None,
        user_id=f"u{number + ACCOUNT}" if account else None,
        loyalty_id=f"{rng.randrange(10**9, 10**10)}" if card else None,
        devices=tuple(_device(rng) for _ in range(rng.choices((0, 1, 2), weights=(79, 17, 4))[0])),
        cookies=tuple(f"ck.{hexes(rng, 12)}" for _ in range(rng.choices((0, 1, 2, 3), weights=(76, 16, 6, 2))[0])),
        hides=hides,
    )


def _household(
    rng: Random, first_number: int, size: int, taken: set[str], country: Country | None = None
) -> list[Person]:
    """Up to two adults and their grown children; one son in ten bears his father's name."""
    home = _home(rng, country or common_first(rng, COUNTRIES))
    last = common_first(rng, home.country.surnames)
    born = rng.randrange(1945, 1985)
    members: list[Person] = []
    for place in range(size):
        child = place >= 2
        own_name = place == 1 and chance(rng, 0.35)
        father = next((m.first for m in members if m.first in home.country.men), None)
        members.append(
            _person(
                rng,
                first_number + place,
                home,
                common_first(rng, home.country.surnames) if own_name else last,
                born + (rng.randrange(22, 26) if child else rng.randrange(-4, 5)),
                father if child and father and chance(rng, 0.1) else None,
                taken,
            )
        )
    return members


def _cast(rng: Random, taken: set[str]) -> World:
    """The people the demo shows, set up so that what it tells about them is true whatever the seed."""
    netherlands, germany, france, _, britain, poland, *_ = COUNTRIES

    def customer(number: int, home: Home, first: str, last: str, born: int, **facts: object) -> Person:
        plain = _person(rng, number, home, last, born, first, taken)
        return replace(
            plain,
            web_email=plain.email,
            mobile=fill(rng, home.country.mobile),
            crm_id=f"C-{number + CARD}",
            user_id=f"u{number + ACCOUNT}",
            hides=False,
            **facts,
        )

    quiet: dict[str, object] = {"loyalty_id": None, "devices": (), "cookies": ()}
    star = customer(
        0, replace(_home(rng, netherlands), tablet=None), "Sanne", "de Vries", 1988,
        loyalty_id="4007001234",
        devices=(_device(rng), _device(rng), _device(rng, tablet=True)),
        cookies=tuple(f"ck.{hexes(rng, 12)}" for _ in range(4)),
    )  # fmt: skip
    star = replace(star, web_email=_mailbox(rng, star.first, star.last, 1988, taken, work=True))
    family = replace(_home(rng, germany), tablet=None)
    father = customer(1, family, "Thomas", "Schneider", 1958, **quiet)
    son = customer(2, family, "Thomas", "Schneider", 1986, **quiet)
    hidden = customer(3, replace(_home(rng, france), tablet=None), "Hélène", "Lefèvre", 1979, **quiet)
    hidden = replace(hidden, web_email=_mailbox(rng, "Hélène", "Lefèvre", 1979, taken, work=True), hides=True)
    shared = replace(_home(rng, poland), tablet=f"tab-{hexes(rng, 10)}")
    siblings = (
        customer(4, shared, "Zofia", "Jabłoński", 1999, **quiet),
        customer(5, shared, "Michał", "Jabłoński", 2002, **quiet),
    )
    seller = customer(6, _home(rng, britain), "Charlotte", "Davies", 1991, **quiet)
    heir = customer(7, _home(rng, britain), "Callum", "Griffiths", 1996, **quiet)
    people = [star, father, son, hidden, *siblings, seller, heir]
    return World(people, star, father, son, hidden, siblings, seller, heir, _device(rng), taken)


def make_world(people: int, seed: int) -> World:
    """The true people behind the data, in the order of their numbers.

    Raises ValueError when `people` is too small to hold the cast.
    """
    rng = stream(seed, "people")
    world = _cast(rng, set())
    if people < 100:
        raise ValueError(f"--people must be at least 100, to hold the people that the demo shows; it is {people}")
    while len(world.people) < people:
        size = rng.choices((1, 2, 3, 4), weights=(46, 32, 11, 11))[0]
        size = min(size, people - len(world.people))
        world.people += _household(rng, len(world.people), size, world.emails)
    return world
