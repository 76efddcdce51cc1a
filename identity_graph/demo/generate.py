"""Make the demo data set: one retailer's five sources about some thousands of invented people.

    python -m identity_graph.demo.generate OUT [--people N] [--seed S]

`generate` is a pure function of its two numbers: the same numbers give the same bytes on every machine.
"""

import csv
import io
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import orjson

from identity_graph.demo.draws import DAYS, START, chance, iso, moment, stream, typo, written_email, written_phone
from identity_graph.demo.people import SECOND_CARD, Pair, Person, World, make_world, written_name
from identity_graph.demo.words import GOODS, JUNK, SHOPS

PEOPLE = 3000
SEED = 7
TABLET = "tablet-utrecht-01"
TABLET_USERS = 48

Row = dict[str, str]
Event = dict[str, object]


def crm_rows(world: World, seed: int) -> list[Row]:
    """Customer cards, some people twice: shop staff made a second card with the old mail address or number."""
    rng = stream(seed, "crm")
    cast = {person.number for person in world.people[:8]}
    rows: list[Row] = []
    for person in world.people:
        if person.crm_id is None:
            continue
        rows.append(_crm_row(rng, person, person.crm_id, moment(rng, 0, 60), clean=person.number in cast))
        if person.number not in cast and chance(rng, 0.025):
            rows.append(_crm_row(rng, person, f"C-{person.number + SECOND_CARD}", moment(rng, 60, DAYS), clean=False))
    for row in rows:
        if row["crm_id"] in (world.father.crm_id, world.son.crm_id):
            row["phone"] = f"+{world.father.home.country.dial}{world.father.home.landline}"
        if row["crm_id"] == world.hidden.crm_id:
            row |= {"first_name": "Helene", "last_name": "Lefebvre"}
    return rows


def _crm_row(rng: Random, person: Person, crm_id: str, updated: datetime, clean: bool) -> Row:
    home = person.home
    first, last = (person.first, person.last) if clean else written_name(rng, person)
    email = person.email if clean else written_email(rng, person.email)
    number = home.landline if not clean and chance(rng, 0.12) else person.mobile
    phone = f"+{home.country.dial}{number}" if clean else written_phone(rng, home.country, number)
    dob, street = person.dob.isoformat(), home.street
    if not clean:
        email = "" if chance(rng, 0.12) else email
        phone = "" if chance(rng, 0.22) else phone
        dob = "" if chance(rng, 0.15) else dob
        street = typo(rng, street) if chance(rng, 0.05) else street
        if chance(rng, 0.006):
            email = rng.choice(JUNK["email"])
        if chance(rng, 0.008):
            phone = rng.choice(JUNK["phone"])
        if email and chance(rng, 0.003):
            email = email.replace("@", rng.choice(("", "@@", " at ")))
    return {
        "crm_id": crm_id,
        "first_name": first,
        "last_name": last,
        "email": email,
        "phone": phone,
        "street": street,
        "house_number": home.house_number,
        "postcode": home.postcode if clean or not chance(rng, 0.1) else home.postcode.replace(" ", "").lower(),
        "city": home.city,
        "country": home.country.code,
        "dob": dob,
        "updated_at": iso(updated),
    }


def shop_orders(world: World, seed: int) -> list[Event]:
    """Orders by account holders and guests, from their own devices or the family's tablet."""
    rng = stream(seed, "shop")
    orders: list[Event] = []
    for person in world.people:
        if person.user_id is None and not chance(rng, 0.09):
            continue
        for _ in range(rng.choices((0, 1, 2, 3, 5), weights=(42, 40, 12, 4, 2))[0]):
            orders.append(_order(rng, person))
    for order in orders:
        if order["user_id"] == world.star.user_id:
            order |= {"phone": None, "device_id": None}
    for person in world.siblings:
        orders.append(_order(rng, person) | {"user_id": person.user_id, "device_id": person.home.tablet})
    orders.sort(key=lambda order: str(order["ordered_at"]))
    return [{"order_id": f"O-{2_600_000 + 7 * n}"} | order for n, order in enumerate(orders)]


def _order(rng: Random, person: Person) -> Event:
    first, last = (person.first, person.last) if person.hides else written_name(rng, person)
    email = person.web_email
    if person.user_id is None and chance(rng, 0.02):
        email = email.replace("mail", "mial").replace("box", "bxo")
    basket = [(sku, cents, rng.choice((1, 1, 1, 2, 3))) for sku, cents in rng.sample(GOODS, rng.choice((1, 1, 1, 2)))]
    devices = [device.id for device in person.devices] + ([person.home.tablet] if person.home.tablet else [])
    device = rng.choice(devices) if devices and chance(rng, 0.7) else None
    if device is None and not person.hides and chance(rng, 0.01):
        device = rng.choice(JUNK["device_id"])
    phone = not person.hides and chance(rng, 0.3)
    return {
        "user_id": None if chance(rng, 0.08) and not person.hides else person.user_id,
        "email": rng.choice(JUNK["email"]) if chance(rng, 0.004) else written_email(rng, email),
        "phone": written_phone(rng, person.home.country, person.mobile) if phone else None,
        "device_id": device,
        "deliver_to": f"{first} {last}",
        "postcode": person.home.postcode,
        "country": person.home.country.code,
        "amount": sum(cents * count for _, cents, count in basket) / 100,
        "items": [{"sku": sku, "n": count} for sku, _, count in basket],
        "ordered_at": iso(moment(rng, 20)),
    }


def till_receipts(world: World, seed: int) -> list[Row]:
    """Receipts with a loyalty card, sometimes the family's one card, or only a phone number for the warranty."""
    rng = stream(seed, "pos")
    cards = {person.home: person.loyalty_id for person in world.people if person.loyalty_id}
    rows: list[Row] = []
    for person in world.people:
        card = person.loyalty_id
        if card is None and not person.hides and chance(rng, 0.08):
            card = cards.get(person.home)
        bare = card is None and person.crm_id is not None and not person.hides and chance(rng, 0.05)
        visits = rng.choices((1, 2, 4), weights=(55, 30, 15))[0] if card or bare else 0
        for _ in range(visits):
            phone = bare or chance(rng, 0.2)
            rows.append(
                {
                    "sold_at": iso(moment(rng)),
                    "shop": rng.choice(SHOPS),
                    "loyalty_id": rng.choice(JUNK["loyalty_id"]) if card and chance(rng, 0.01) else card or "",
                    "phone": written_phone(rng, person.home.country, person.mobile) if phone else "",
                    "amount": f"{rng.randrange(295, 9000) / 100:.2f}",
                }
            )
    star = world.star
    warranty = {"loyalty_id": str(star.loyalty_id), "phone": f"+{star.home.country.dial}{star.mobile}"}
    rows.append({"sold_at": iso(moment(rng)), "shop": SHOPS[0], **warranty, "amount": "329.00"})
    rows.sort(key=lambda row: row["sold_at"])
    return [{"receipt_id": f"R{100_000 + n}"} | row for n, row in enumerate(rows)]


def _observation(
    source: str, at: datetime, did: str, *identifiers: Pair, record: str | None = None, **traits: object
) -> Event:
    """An observation of what somebody did, which is also the type of its event."""
    event: Event = {
        "id": "",
        "source": source,
        "observedAt": iso(at),
        "identifiers": [{"namespace": namespace, "value": value} for namespace, value in identifiers],
    }
    if record is not None:
        event["recordId"] = record
    if traits:
        event["traits"] = traits
    return event | {"event": _event(did, at)}


def _event(did: str, at: datetime) -> Event:
    """What was done, with the page that was looked at or what was bought, and for how much."""
    sku, price = GOODS[int(at.timestamp()) // 60 % len(GOODS)]
    match did:
        case "page":
            return {"type": did, "properties": {"path": f"/{sku}"}}
        case "purchase":
            return {"type": did, "properties": {"sku": sku, "value": price / 100}}
        case _:
            return {"type": did}


def web_events(world: World, seed: int) -> list[Event]:
    """Visits under a cookie, nameless at first; sign-ups, log-ins and clicks from a newsletter name some of them."""
    rng = stream(seed, "web")
    events: list[Event] = []
    for person in world.people:
        if person.user_id and (person.cookies or person.hides or chance(rng, 0.45)):
            events.append(_sign_up(rng, person, person.user_id))
        for cookie in person.cookies:
            first = rng.uniform(0, DAYS - 30)
            for _ in range(rng.choice((1, 1, 2))):
                events.append(_observation("web", moment(rng, first, first + 20), "page", ("cookie_id", cookie)))
            named = moment(rng, first + 20, first + 29)
            if person.user_id and (person is world.star or chance(rng, 0.75)):
                events.append(_observation("web", named, "login", ("cookie_id", cookie), ("user_id", person.user_id)))
            elif person.user_id is None and chance(rng, 0.4):
                mail = ("email", written_email(rng, person.email))
                events.append(
                    _observation("web", named, "newsletter.click", ("cookie_id", cookie), mail, newsletter=True)
                )
            if chance(rng, 0.015):
                junk = ("cookie_id", rng.choice(JUNK["cookie_id"]))
                who = ("user_id", person.user_id) if person.user_id else ("cookie_id", cookie)
                events.append(_observation("web", named, "page", junk, who))
    return _as_sent(rng, "web", events)


def _sign_up(rng: Random, person: Person, user_id: str) -> Event:
    first, last = (person.first, person.last) if person.hides else written_name(rng, person)
    facts: dict[str, object] = {"first_name": first, "last_name": last, "country": person.home.country.code}
    if person.hides or chance(rng, 0.4):
        facts |= {"dob": person.dob.isoformat(), "postcode": person.home.postcode}
    facts["plan"] = rng.choices(("free", "pro", "team"), weights=(80, 16, 4))[0]
    email = ("email", written_email(rng, person.web_email))
    return _observation("web", moment(rng, 0, 40), "signup", ("user_id", user_id), email, record=user_id, **facts)


def app_events(world: World, seed: int) -> tuple[list[Event], Event]:
    """Openings of the app, log-ins, scanned loyalty cards and checked phone numbers; and the star's last log-in.

    Until that event the star's devices hang on their private address, the account on the one from work.
    """
    rng = stream(seed, "app")
    events: list[Event] = []
    star = world.star
    for device in star.devices:
        mail = ("email", star.email)
        events.append(
            _observation(
                "app", moment(rng, 30, 90), "app.open", ("device_id", device.id), device.ad, device_model=device.model
            )
        )
        events.append(_observation("app", moment(rng, 90, 170), "login", ("device_id", device.id), mail))
    for day, device in enumerate(star.devices, DAYS - 5):
        for did, hour in (("page", 9), ("purchase", 10)):
            at = START + timedelta(days=day, hours=hour, minutes=day)
            events.append(_observation("app", at, did, ("device_id", device.id)))
    for person in world.people[1:]:
        events += _app_use(rng, person)
    for person in world.siblings:
        events.append(_log_in(moment(rng, 60, 170), str(person.home.tablet), person))
    events.append(_log_in(moment(rng, 20, 60), world.handed_down.id, world.seller))
    events.append(_log_in(moment(rng, 120, 170), world.handed_down.id, world.heir))
    users = [person for person in world.people[8:] if person.user_id and not person.hides]
    for person in rng.sample(users, min(TABLET_USERS, len(users))):
        events.append(_log_in(moment(rng, 10, 170), TABLET, person))
    joining = _log_in(START + timedelta(days=DAYS + 1), star.devices[0].id, star)
    return [*_as_sent(rng, "app", [*events, joining])], joining


def _log_in(at: datetime, device: str, person: Person) -> Event:
    return _observation("app", at, "login", ("device_id", device), ("user_id", str(person.user_id)))


def _app_use(rng: Random, person: Person) -> Iterator[Event]:
    for device in person.devices:
        first = rng.uniform(0, DAYS - 40)
        ad = ("idfa", JUNK["advertising_id"][0]) if device.ad[0] == "idfa" and chance(rng, 0.08) else device.ad
        yield _observation(
            "app", moment(rng, first, first + 10), "app.open", ("device_id", device.id), ad, device_model=device.model
        )
        if person.user_id and chance(rng, 0.8):
            yield _log_in(moment(rng, first + 10, first + 39), device.id, person)
    if person.user_id is None or person.hides:
        return
    account = ("user_id", person.user_id)
    if person.home.tablet and chance(rng, 0.6):
        yield _log_in(moment(rng, 60, 170), person.home.tablet, person)
    if person.loyalty_id and chance(rng, 0.5):
        yield _observation("app", moment(rng, 30), "loyalty.scan", account, ("loyalty_id", person.loyalty_id))
    if person.devices and chance(rng, 0.3):
        phone = ("phone", written_phone(rng, person.home.country, person.mobile))
        yield _observation("app", moment(rng, 30), "phone.verified", account, phone)


def _as_sent(rng: Random, source: str, events: list[Event]) -> list[Event]:
    """In the order of arrival: by time, one in a hundred late, one in fifty delivered a second time."""
    events.sort(key=lambda event: str(event["observedAt"]))
    places: list[tuple[float, Event]] = []
    for n, event in enumerate(events):
        event["id"] = f"{source}-{n + 1:05}"
        late = rng.uniform(5, 60) if chance(rng, 0.01) else 0
        places.append((n + late, event))
        if chance(rng, 0.02):
            places.append((n + late + rng.uniform(1, 40), event))
    places.sort(key=lambda place: place[0])
    return [event for _, event in places]


# ---------------------------------------------------------------------------------------------- the files


def _story(world: World, joining: Event, people: int, seed: int) -> dict[str, object]:
    def key(namespace: str, value: str | None) -> dict[str, str | None]:
        return {"namespace": namespace, "value": value}

    def account(person: Person) -> dict[str, str | None]:
        return key("user_id", person.user_id)

    star, hidden = world.star, world.hidden
    return {
        "people": people,
        "seed": seed,
        "many_identifiers": {
            "is": "one person in all five sources; the last event of the app joins the devices to the account",
            "crm": key("crm_id", star.crm_id),
            "account": account(star),
            "device": key("device_id", star.devices[0].id),
            "joining_observation": joining["id"],
        },
        "shop_tablet": {
            "is": "a tablet in the Utrecht shop on which dozens of strangers logged in",
            "device": key("device_id", TABLET),
        },
        "family_tablet": {
            "is": "a tablet at home, used by two siblings",
            "device": key("device_id", world.siblings[0].home.tablet),
            "users": [account(person) for person in world.siblings],
        },
        "father_and_son": {
            "is": "two people with one name, one address and one landline",
            "father": key("crm_id", world.father.crm_id),
            "son": key("crm_id", world.son.crm_id),
            "phone": key("phone", f"+{world.father.home.country.dial}{world.father.home.landline}"),
        },
        "same_person_no_shared_identifier": {
            "is": "one person whose card and account share no identifier; only the traits tell",
            "crm": key("crm_id", hidden.crm_id),
            "account": account(hidden),
        },
        "cross_device": {
            "is": "a phone whose owner has two more devices and four browsers",
            "device": key("device_id", star.devices[1].id),
        },
        "handed_down_phone": {
            "is": "a phone that was sold: seen with its first owner, later with its second",
            "device": key("device_id", world.handed_down.id),
            "first_owner": account(world.seller),
            "second_owner": account(world.heir),
        },
    }


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _jsonl(events: Sequence[Event]) -> bytes:
    return b"".join(orjson.dumps(event) + b"\n" for event in events)


def generate(people: int = PEOPLE, seed: int = SEED) -> dict[str, bytes]:
    """The data set as file name → content.

    Raises ValueError when `people` is below 100.
    """
    world = make_world(people, seed)
    app, joining = app_events(world, seed)
    return {
        "crm.csv": _csv(crm_rows(world, seed)),
        "shop_orders.jsonl": _jsonl(shop_orders(world, seed)),
        "till_receipts.csv": _csv(till_receipts(world, seed)),
        "web_events.jsonl": _jsonl(web_events(world, seed)),
        "app_events.jsonl": _jsonl(app),
        "story.json": orjson.dumps(_story(world, joining, people, seed), option=orjson.OPT_INDENT_2) + b"\n",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the data set into a directory, which is made when missing."""
    parser = ArgumentParser(prog="python -m identity_graph.demo.generate", description="Write the demo data set.")
    parser.add_argument("out", type=Path, help="directory to write into")
    parser.add_argument("--people", type=int, default=PEOPLE, help="true people behind the data (default %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, other people (default %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        files = generate(chosen.people, chosen.seed)
    except ValueError as error:
        parser.error(str(error))
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (chosen.out / name).write_bytes(content)


if __name__ == "__main__":
    main()
