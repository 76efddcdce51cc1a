"""Made people for measuring and testing: families with shared addresses, duplicates with errors, and the truth.

Everything follows from the seed. Names are drawn with frequencies like real ones (a few common, many rare).
"""

import csv
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

_SYLLABLES = (
    "ba be bi bo ca ce co da de do fa fe ga go ha he hi ja jo ka ke ki la le li lo ma me mi mo na ne no".split()
)
_ENDS = "n r s t l ck nd rt son man ley ton ski er".split()
_FIRST = (
    "mary james robert patricia john jennifer michael linda william elizabeth david barbara richard susan joseph "
    "jessica thomas sarah charles karen christopher lisa daniel nancy matthew betty anthony margaret mark sandra "
    "donald ashley steven kimberly paul emily andrew donna joshua michelle kenneth carol kevin amanda brian dorothy "
    "george melissa edward deborah ronald stephanie timothy rebecca jason sharon jeffrey laura ryan cynthia"
).split()


@dataclass
class Person:
    """One record; `entity` is the person it is about."""

    record_id: str
    entity: int
    values: dict[str, str] = field(default_factory=dict[str, str])


FIELDS = ("first_name", "last_name", "dob", "street", "city", "postcode", "phone", "email")


def people(records: int, seed: int = 1, duplicates: float = 0.25) -> Iterator[Person]:
    """`records` records: `duplicates` of them are a second or third record of someone, with errors."""
    rng = random.Random(seed)
    size = max(200, min(60_000, records // 12))
    family_names = _words(rng, size)
    first_names = _FIRST + _words(rng, max(100, size // 20))
    streets = [f"{name} {kind}" for name in _words(rng, max(100, size // 8)) for kind in ("street", "road", "lane")]
    cities = [(name, f"{rng.randrange(10**5):05d}") for name in _words(rng, max(50, size // 20))]
    made = entity = 0
    while made < records:
        family, street, number = _common(rng, family_names), rng.choice(streets), rng.randint(1, 250)
        city, area = rng.choice(cities)
        postcode, landline = f"{area[:3]}{rng.randrange(100):02d}", f"0{rng.randrange(2 * 10**8, 9 * 10**8)}"
        for _ in range(rng.choice((1, 1, 2, 3, 4))):
            entity += 1
            first = _common(rng, first_names)
            whole = {
                "first_name": first,
                "last_name": family,
                "dob": f"{rng.randint(1935, 2012)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
                "street": f"{number} {street}",
                "city": city,
                "postcode": postcode,
                "phone": landline if rng.random() < 0.3 else f"0{rng.randrange(10**8, 2 * 10**8)}",
                "email": f"{first}.{family}{rng.randrange(1000)}@example.com",
            }
            person = Person("", entity, whole)
            copies = 1 + (rng.random() < duplicates) + (rng.random() < duplicates / 4)
            for copy in range(copies):
                if made == records:
                    return
                yield replace(person, record_id=f"p{made}", values=_spoil(rng, whole) if copy else _thin(rng, whole))
                made += 1


def _words(rng: random.Random, count: int) -> list[str]:
    found: set[str] = set()
    while len(found) < count:
        found.add("".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((1, 2, 2, 3)))) + rng.choice(_ENDS))
    return sorted(found, key=lambda word: word[::-1])


def _common(rng: random.Random, words: list[str]) -> str:
    return words[int(len(words) * rng.random() ** 2)]


def _thin(rng: random.Random, values: dict[str, str]) -> dict[str, str]:
    return {k: "" if k not in ("first_name", "last_name") and rng.random() < 0.08 else v for k, v in values.items()}


def _spoil(rng: random.Random, values: dict[str, str]) -> dict[str, str]:
    spoiled = _thin(rng, values)
    for name in rng.sample(FIELDS, rng.choice((0, 1, 1, 2))):
        spoiled[name] = typo(rng, spoiled[name])
    return spoiled


def typo(rng: random.Random, text: str) -> str:
    """One letter other, less, more, or exchanged with the next."""
    if not text:
        return text
    i = rng.randrange(len(text))
    letter = rng.choice(string.digits if text[i].isdigit() else string.ascii_lowercase)
    return rng.choice((text[:i] + letter + text[i + 1 :], text[:i] + text[i + 1 :], text[:i] + letter + text[i:],
                       text[:i] + text[i + 1 : i + 2] + text[i : i + 1] + text[i + 2 :]))  # fmt: skip


def write(path: Path, records: int, seed: int = 1) -> dict[str, int]:
    """Write a CSV file; gives each record's person."""
    truth: dict[str, int] = {}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["record_id", *FIELDS])
        for person in people(records, seed):
            writer.writerow([person.record_id, *(person.values[name] for name in FIELDS)])
            truth[person.record_id] = person.entity
    return truth
