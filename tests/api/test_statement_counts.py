"""How many statements a request costs, whatever its lists hold, and that concurrent ones share them."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from identity_graph.services.lookup import Coalesced

from .live import OPERATIONS, Service, an, an_email, seen, statements_of


@pytest.fixture(scope="module")
def people(service: Service) -> list[dict[str, str]]:
    """An e-mail address each of forty people with a merge, traits, three devices and two records."""
    emails = [an_email() for _ in range(40)]
    apart: list[dict[str, Any]] = []
    joined: list[dict[str, Any]] = []
    for n, email in enumerate(emails):
        user = an("user_id")
        apart += [seen(email, an("device_id"), traits={"n": n}), seen(user, traits={"m": n})]
        joined += [seen(user, email), seen(user, an("cookie_id")), seen(user, an("cookie_id"))]
    service.submit(*apart)
    service.submit(*joined)
    return emails


@pytest.mark.parametrize(
    ("operation", "statements"),
    [
        ("Resolve", ["lookup/now"]),
        (
            "Customer360",
            [
                "lookup/now",
                "profile/members",
                "profile/records",
                "profile/state",
                "record/traits",
                "segment/of_profiles",
            ],
        ),
        ("ProfileById", ["profile/members", "profile/state"]),
        ("CrossDevice", ["device/of_profile", "lookup/now"]),
        ("MergeLineage", ["lineage/page", "profile/state"]),
    ],
)
def test_an_operation_costs_a_fixed_number_of_statements(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    people: list[dict[str, str]],
    operation: str,
    statements: list[str],
) -> None:
    id = service.profile_of(people[0])
    variables = {"identifiers": people, "identifier": people[0], "device": people[0], "id": id, "profileId": id}
    query = (OPERATIONS / f"{operation}.graphql").read_text()
    used = {name: value for name, value in variables.items() if f"${name}:" in query}
    with statements_of(service, monkeypatch) as run:
        service.run(operation, used)
    assert sorted(run) == statements


def test_a_list_costs_as_many_statements_as_one(
    service: Service, monkeypatch: pytest.MonkeyPatch, people: list[dict[str, str]]
) -> None:
    query = """query($i: [IdentifierInput!]!) { resolve(identifiers: $i) { profile { size version status createdAt
        goldenRecord { name } identifiers(first: 2) { totalCount edges { node { value } } }
        records(first: 2) { edges { node { traits } } }
        lineage(first: 1) { edges { node { at cause { ... on LinkCause { link { id } } } } } } } } }"""

    def cost(identifiers: list[dict[str, str]]) -> list[str]:
        with statements_of(service, monkeypatch) as run:
            data = service.post(query, {"i": identifiers}).json()["data"]
        assert all(len(found["profile"]["lineage"]["edges"]) == 1 for found in data["resolve"])
        return sorted(run)

    assert cost(people) == cost(people[:1])


def test_identifiers_asked_twice_are_looked_up_once(service: Service, people: list[dict[str, str]]) -> None:
    found = service.resolve(*people[:3], *people[:3])
    assert found[:3] == found[3:]


def test_concurrent_requests_share_statements_and_each_gets_its_own_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch, people: list[dict[str, str]]
) -> None:
    expected = {
        email["value"]: found["profile"]["id"] for email, found in zip(people, service.resolve(*people), strict=True)
    }

    def ask(n: int) -> bool:
        email = people[n % len(people)]
        found = service.http.post("/v1/resolve", json={"identifiers": [an_email(), email]}).json()["results"]
        return [f["profileId"] for f in found] == [None, expected[email["value"]]]

    with ThreadPoolExecutor(16) as clients, statements_of(service, monkeypatch) as run:
        assert all(clients.map(ask, range(400)))
    assert 0 < len(run) < 400


# --- Coalescing, by itself


@pytest.fixture
def readers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def test_what_arrives_while_a_batch_runs_shares_the_next(readers: ThreadPoolExecutor) -> None:
    batches: list[list[int]] = []
    go = Event()

    def load(_group: object, keys: list[int]) -> dict[int, int]:
        batches.append(keys)
        go.wait(10)
        return {key: key * key for key in keys}

    async def story() -> list[int | None]:
        loader: Coalesced[int, int] = Coalesced(readers, load, in_flight=1)
        first = asyncio.create_task(loader.one("now", 0))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(loader.one("now", n)) for n in (1, 2, 3, 2)]
        await asyncio.sleep(0.05)
        go.set()
        return [await first, *[await task for task in rest]]

    assert asyncio.run(story()) == [0, 1, 4, 9, 4]
    assert batches == [[0], [1, 2, 3]]


def test_only_keys_of_one_group_meet_and_a_batch_has_a_bound(readers: ThreadPoolExecutor) -> None:
    batches: list[tuple[str, list[int]]] = []

    def load(group: str, keys: list[int]) -> dict[int, str]:
        batches.append((group, keys))
        return dict.fromkeys(keys, group)

    async def story() -> None:
        loader: Coalesced[int, str] = Coalesced(readers, load, in_flight=1, most=4)
        now, then = loader.many("now", [1, 2]), loader.many("then", [1])
        more, large = loader.many("now", [2, 3]), loader.many("now", [4, 5, 6, 7])
        assert (await then, (await now)[1], (await more)[3], len(await large)) == ({1: "then"}, "now", "now", 4)

    asyncio.run(story())
    assert batches == [("now", [1, 2, 3]), ("then", [1]), ("now", [4, 5, 6, 7])]


def test_a_failed_batch_fails_its_own_and_no_other(readers: ThreadPoolExecutor) -> None:
    def load(_group: object, keys: list[int]) -> dict[int, int]:
        if 0 in keys:
            raise LookupError
        return {key: key for key in keys}

    async def story() -> None:
        loader: Coalesced[int, int] = Coalesced(readers, load, in_flight=1, most=2)
        bad, unlucky, good = (asyncio.ensure_future(loader.one("now", n)) for n in (0, 1, 2))
        gone = asyncio.create_task(loader.one("now", 3))
        await asyncio.sleep(0)
        gone.cancel()
        assert await good == 2
        for task in (bad, unlucky):
            with pytest.raises(LookupError):
                await task

    asyncio.run(story())
