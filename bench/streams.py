"""Streams of identity observations for benchmarks: as long as wanted, always the same, in constant memory.

    python -m bench.streams OUT.jsonl --identifiers 1000000 [--seed S]

Nobody is stored: everything about person `i` follows from a hash of the seed and `i`. A person has a *plan*: the
observations that make their one to eight identifiers known, nameless traffic first and a log-in later. Person after
person enters the stream. The later steps of a plan come up after a growing lag, so that profiles which already exist
must merge, as in life. A quarter of the stream sees people again who were seen before, some of them very often.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import orjson

Key = dict[str, str]
Observation = dict[str, object]


class Step(NamedTuple):
    """One observation of a plan: its slots, such as `c0` for the first cookie, and how many of them are new."""

    slots: tuple[str, ...]
    new: int
    source: str


#: Plans with their weights, which sum to 64. A slot is the initial of a namespace (user_id, email, phone, cookie_id,
#: device_id) and a number.
_PLANS = (
    (6, "c0"),
    (8, "c0 d0"),
    (5, "u0 e0"),
    (8, "c0 d0, c0 u0"),
    (7, "c0 d0, u0 e0, c0 u0"),
    (5, "u0 e0, u0 p0"),
    (5, "c0 d0, d0 u0 e0"),
    (5, "c0 d0, u0 e0 p0, d0 u0"),
    (5, "c0 d0, c0 u0 e0, u0 c1"),
    (3, "c0 d0, u0 e0, c0 u0, u0 p0 d1"),
    (3, "d0 c0, c1 e0, u0 p0, u0 e0, u0 d0"),
    (3, "c0 d0, c1 d1, u0 e0 p0, c0 u0, d1 u0"),
    (1, "c0 d0, c1 d1, u0 e0 p0, c0 u0, c1 e0, c2 u0"),
)
#: People that enter between the steps of one plan, in units of the lag.
_WAITS = (0, 1, 3, 9, 27, 81)
_MAX_LAG = 500

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_START = datetime(2026, 1, 1, tzinfo=UTC)
_STEP_MS = 250  # one observation every quarter of a second: a million take three days
_REPEATS = 85 / 256  # seen again, per observation of a plan: a quarter of the whole
_TABLETS = 3

_JUNK: tuple[Key, ...] = (
    {"namespace": "cookie_id", "value": "null"},
    {"namespace": "device_id", "value": "00000000-0000-0000-0000-000000000000"},
    {"namespace": "email", "value": "noreply@shop.example"},
    {"namespace": "cookie_id", "value": "undefined"},
)


def _parse(plan: str) -> tuple[Step, ...]:
    known: set[str] = set()
    steps: list[Step] = []
    for text in plan.split(", "):
        slots = tuple(text.split())
        source = "web" if "c" in text else "app" if "d" in text else "crm" if "p" in text else "shop"
        steps.append(Step(slots, len(set(slots) - known), source))
        known.update(slots)
    return tuple(steps)


#: A person's plan is the entry at the low six bits of their hash.
_PLAN_OF = tuple(_parse(plan) for weight, plan in _PLANS for _ in range(weight))
IDENTIFIERS_A_PERSON = sum(step.new for plan in _PLAN_OF for step in plan) / 64
OBSERVATIONS_AN_IDENTIFIER = sum(map(len, _PLAN_OF)) / 64 / IDENTIFIERS_A_PERSON * (1 + _REPEATS)


def _mix(x: int) -> int:
    """A 64-bit hash of a 64-bit integer: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def _salt(seed: int) -> int:
    return _mix((seed * _GOLDEN + 1) & _MASK)


def _hash_of(person: int, salt: int) -> int:
    return _mix((salt + person * _GOLDEN) & _MASK)


@lru_cache(maxsize=4096)
def _minute(number: int) -> str:
    return (_START + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:")


def _identifier(slot: str, person: int, h: int, seed: int) -> Key:
    kind = slot[0]
    if kind == "u":
        return {"namespace": "user_id", "value": f"u{seed}-{person}"}
    if kind == "c":
        return {"namespace": "cookie_id", "value": f"{slot}.{h:016x}"}
    if kind == "e":
        return {"namespace": "email", "value": f"p{person}.{seed}@mail.example"}
    if kind == "p":
        return {"namespace": "phone", "value": f"+316{10_000_000 + (person + seed * 7_919_003) % 40_000_000}"}
    if slot == "d0" and _hash_of(person >> 1, ~seed & _MASK) % 50 == 0:  # two neighbours share one device
        return {"namespace": "device_id", "value": f"family-{seed}-{person >> 1}"}
    return {"namespace": "device_id", "value": f"{slot}-{h:016x}"}


def _observation(n: int, noise: int, source: str, identifiers: list[Key], seed: int) -> Observation:
    at = n * _STEP_MS
    if noise >> 50 & 63 == 0:  # one in 64 arrives up to eleven minutes late
        at = max(0, at - (noise >> 56) * 2500)
    if noise >> 40 & 1023 < 5:
        identifiers.append(_JUNK[noise >> 38 & 3])
    minute, ms = divmod(at, 60_000)
    return {
        "id": f"s{seed}-{n:09d}",
        "source": source,
        "observedAt": f"{_minute(minute)}{ms / 1000:06.3f}Z",
        "identifiers": identifiers,
    }


def _seen_again(noise: int, last: int, waits: Sequence[int], salt: int, seed: int) -> tuple[str, list[Key]] | None:
    """A step that someone before person `last` has gone through, once more; None where that one had none yet.

    The k-th person is drawn with a probability that falls as k^(-2/3).
    """
    person = int(last * ((noise & 0xFFFFFFFF) / 0x100000000) ** 3)
    h = _hash_of(person, salt)
    plan = _PLAN_OF[h & 63]
    step = (noise >> 32 & 0xFF) % len(plan)
    while step >= 0 and person + waits[step] >= last:
        step -= 1
    if step < 0:
        return None
    if "u0" in plan[step].slots and noise >> 40 & 0x3FF0 == 0:
        tablet = {"namespace": "device_id", "value": f"tablet-{seed}-{noise % _TABLETS}"}
        return "app", [_identifier("u0", person, h, seed), tablet]
    keys = [_identifier(slot, person, h, seed) for slot in plan[step].slots]
    for key in keys:
        if key["namespace"] == "email" and noise & 1:
            key["value"] = key["value"].title()
    return plan[step].source, keys


def observations(
    n_identifiers: int | None = None, *, n_observations: int | None = None, seed: int = 1
) -> Iterator[Observation]:
    """Observations in the form of SubmitLinks, until so many identifiers are known or observations made.

    The number of distinct identifiers comes within 2 % of `n_identifiers`. Ids are unique within a seed, and two
    seeds share no identifiers but the junk. `observedAt` rises, but for one in 64.
    Raises ValueError unless exactly one of the two lengths is given and positive.
    """
    wanted = [n for n in (n_identifiers, n_observations) if n is not None]
    if len(wanted) != 1 or wanted[0] < 1:
        raise ValueError("give either n_identifiers or n_observations, at least 1")
    size = n_identifiers if n_identifiers is not None else int(wanted[0] / OBSERVATIONS_AN_IDENTIFIER)
    endless = _endless(min(_MAX_LAG, 1 + size // 2000), seed)
    if n_observations is not None:
        yield from (observation for observation, _ in islice(endless, n_observations))
        return
    known = 0
    for observation, new in endless:
        yield observation
        known += new
        if known >= size:
            return


def _endless(lag: int, seed: int) -> Iterator[tuple[Observation, int]]:
    """Each observation with the number of identifiers that are new in it."""
    salt = _salt(seed)
    waits = [wait * lag for wait in _WAITS]
    n = last = 0
    while True:
        for step, wait in enumerate(waits):
            person = last - wait
            if person < 0:
                break
            h = _hash_of(person, salt)
            plan = _PLAN_OF[h & 63]
            if step >= len(plan):
                continue
            slots, new, source = plan[step]
            noise = _mix(salt ^ n)
            yield _observation(n, noise, source, [_identifier(slot, person, h, seed) for slot in slots], seed), new
            n += 1
            if (noise & 0xFF) / 256 < _REPEATS:
                noise = _mix(salt ^ n)
                again = _seen_again(noise, last, waits, salt, seed)
                if again is not None:
                    yield _observation(n, noise, *again, seed), 0
                    n += 1
        last += 1


def lookups(n_identifiers: int, count: int, seed: int = 1) -> Iterator[Key]:
    """`count` identifiers, drawn evenly over people, that `observations(n_identifiers, seed=seed)` has made known."""
    salt = _salt(seed)
    people = max(1, int(n_identifiers / IDENTIFIERS_A_PERSON / 2))
    for n in range(count):
        noise = _mix(~salt & _MASK ^ n)
        person = noise % people
        h = _hash_of(person, salt)
        slots = _PLAN_OF[h & 63][0].slots
        yield _identifier(slots[(noise >> 40) % len(slots)], person, h, seed)


def write_jsonl(path: Path, stream: Iterable[Observation]) -> int:
    """Write the stream as JSON Lines; returns the number of lines."""
    n = 0
    with path.open("wb", buffering=1 << 20) as file:
        for n, observation in enumerate(stream, start=1):  # noqa: B007 - the count is the result
            file.write(orjson.dumps(observation, option=orjson.OPT_APPEND_NEWLINE))
    return n


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one stream to a file and say how long it is."""
    parser = ArgumentParser(prog="python -m bench.streams", description="Write a stream of identity observations.")
    parser.add_argument("out", type=Path, help="file to write, as JSON Lines")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--identifiers", type=int, help="stop when about so many identifiers are known")
    length.add_argument("--observations", type=int, help="stop after so many observations")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other people (default %(default)s)")
    chosen = parser.parse_args(arguments)
    begun = perf_counter()
    stream = observations(chosen.identifiers, n_observations=chosen.observations, seed=chosen.seed)
    lines = write_jsonl(chosen.out, stream)
    print(f"{lines:,} observations in {perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
