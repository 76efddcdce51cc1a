"""A retailer's customers as one labelled file: its CRM, the last order and the sign-up of each account.

Unlike `bench.people` they have what makes customers hard: addresses made of names, namesakes by the dozen, couples and
namesake children at one address, and sources that each know little. From the demonstration's data set, whose numbers
of customers and accounts tell who is whom.
"""

import csv
import io
from pathlib import Path
from typing import Any

import orjson

from identity_graph.demo.generate import PEOPLE, SEED, generate
from identity_graph.demo.people import ACCOUNT, CARD, SECOND_CARD

COLUMNS = (
    "id", "source", "first_name", "last_name", "full_name", "email", "phone", "street", "house_number", "postcode",
    "city", "country", "dob",
)  # fmt: skip


def write(path: Path, people: int = PEOPLE, seed: int = SEED, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Write the records as CSV, leaving out the columns in `without`; gives each record's person."""
    files = generate(people, seed)
    rows: dict[str, dict[str, Any]] = {}
    truth: dict[str, str] = {}

    def add(key: str, person: int, **values: Any) -> None:
        rows[key] = {"id": key, **values}
        truth[key] = str(person)

    for card in csv.DictReader(io.StringIO(files["crm.csv"].decode())):
        number = int(card["crm_id"].removeprefix("C-"))
        add(card["crm_id"], number - (SECOND_CARD if number >= SECOND_CARD else CARD), source="crm", **card)
    for order in map(orjson.loads, files["shop_orders.jsonl"].splitlines()):
        if account := order["user_id"]:
            add(f"order-{account}", _person(account), source="shop", full_name=order["deliver_to"], **order)
    for event in map(orjson.loads, files["web_events.jsonl"].splitlines()):
        if account := event.get("recordId"):
            email = [key["value"] for key in event["identifiers"] if key["namespace"] == "email"]
            add(account, _person(account), source="web", email=next(iter(email), None), **event["traits"])
    with path.open("w", newline="", encoding="utf-8") as file:
        kept = [column for column in COLUMNS if column not in without]
        writer = csv.DictWriter(file, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows.values())
    return truth


def _person(account: str) -> int:
    return int(account.removeprefix("u")) - ACCOUNT
