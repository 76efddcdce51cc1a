"""Small random draws that the demo data is made of."""

import re
import string
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar

from identity_graph.demo.words import Country

START = datetime(2025, 9, 1, 6, tzinfo=UTC)
DAYS = 180

T = TypeVar("T")


def stream(seed: int, step: str) -> Random:
    """The random stream of one step, so that a change of one step leaves the others as they were."""
    return Random(f"{seed}:{step}")  # noqa: S311 - invented people, not secrets


def chance(rng: Random, probability: float) -> bool:
    return rng.random() < probability


def common_first(rng: Random, items: Sequence[T]) -> T:
    """Draw with the head of the list some five times as likely as its tail."""
    return items[int(len(items) * rng.random() ** 1.6)]


def fill(rng: Random, pattern: str) -> str:
    digits = re.sub("#", lambda _: rng.choice(string.digits), pattern)
    return re.sub("@", lambda _: rng.choice(string.ascii_uppercase), digits)


def hexes(rng: Random, length: int) -> str:
    return f"{rng.getrandbits(4 * length):0{length}x}"


def uuid(rng: Random) -> str:
    h = hexes(rng, 32)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def moment(rng: Random, first_day: float = 0, last_day: float = DAYS) -> datetime:
    return START + timedelta(seconds=int(86400 * rng.uniform(first_day, last_day)))


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def plain_ascii(text: str) -> str:
    plain = text.translate(str.maketrans({"ł": "l", "Ł": "L", "ß": "ss", "ı": "i", "ø": "o"}))
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def typo(rng: Random, word: str) -> str:
    """One slip of the finger: a letter dropped, doubled or swapped with its neighbour."""
    if len(word) < 4:
        return word
    at = rng.randrange(1, len(word) - 1)
    slips = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    return rng.choice(slips)


def written_email(rng: Random, email: str) -> str:
    """The same mailbox as people and systems write it."""
    return rng.choices((email, email.title(), email.upper(), f" {email}"), weights=(82, 10, 5, 3))[0]


def written_phone(rng: Random, country: Country, number: str) -> str:
    """The same number as people write it; now and then without the country's code, which makes it ambiguous."""
    dial, trunk = f"+{country.dial}", "" if country.code in ("ES", "IT", "PL") else "(0)"
    grouped = " ".join(number[i : i + 3] for i in range(0, len(number), 3))
    styles = (f"{dial}{number}", f"{dial} {grouped}", f"{dial} {trunk}{number}", f"{dial}-{number}", f"0{number}")
    return rng.choices(styles, weights=(58, 20, 12, 7, 3))[0]
