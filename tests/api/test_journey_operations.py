"""A person's journey and aggregates over GraphQL."""

from typing import Any

import pytest

from .live import Service, an, an_email, seen

JOURNEY = """query($id: ID!, $asOf: DateTime, $first: Int, $after: String, $last: Int, $before: String,
    $types: [String!], $from: DateTime, $to: DateTime) {
  profile(id: $id, asOf: $asOf) { journey(first: $first, after: $after, last: $last, before: $before,
      types: $types, from: $from, to: $to) {
    edges { cursor node { id type at source identifier { namespace value } device { namespace value } properties } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
AGGREGATES = """query($id: ID!, $days: Int) { profile(id: $id) { aggregates(withinDays: $days) { firstSeenAt lastSeenAt
    lifetimeValue lastPurchaseAt favouriteChannel rule events { type count firstAt lastAt sum sources } } } }"""


def done(type: str, day: int, *identifiers: dict[str, str], source: str = "web", **properties: Any) -> dict[str, Any]:
    event = {"type": type, "properties": properties}
    return seen(*identifiers, source=source, observedAt=f"2026-03-{day:02}T10:00:00Z", event=event)


@pytest.fixture(scope="module")
def person(service: Service) -> tuple[str, dict[str, str], dict[str, str], dict[str, str]]:
    """A person's profile, account, browser and phone; the browser was nameless for two days."""
    user, browser, phone = an("user_id"), an("cookie_id"), an("device_id")
    service.submit(
        done("page", 1, browser, path="/"),
        done("page", 2, browser, path="/tea"),
        seen(browser, user, observedAt="2026-03-03T10:00:00Z"),
        done("app.open", 4, phone, user, source="app"),
        done("purchase", 5, user, source="shop", value=12.5),
        done("purchase", 6, user, phone, source="app", revenue=7.25),
    )
    return service.profile_of(user), user, browser, phone


Person = tuple[str, dict[str, str], dict[str, str], dict[str, str]]


def journey(service: Service, **variables: Any) -> dict[str, Any]:
    body = service.post(JOURNEY, variables).json()
    assert "errors" not in body, body
    return body["data"]["profile"]["journey"]


def test_a_journey_goes_over_devices_and_sources(service: Service, person: Person) -> None:
    id, user, browser, phone = person
    nodes = [edge["node"] for edge in journey(service, id=id)["edges"]]
    assert [(n["type"], n["at"][:10], n["source"], n["identifier"], n["device"], n["properties"]) for n in nodes] == [
        ("purchase", "2026-03-06", "app", user, phone, {"revenue": 7.25}),
        ("purchase", "2026-03-05", "shop", user, None, {"value": 12.5}),
        ("app.open", "2026-03-04", "app", user, phone, {}),
        ("page", "2026-03-02", "web", browser, browser, {"path": "/tea"}),
        ("page", "2026-03-01", "web", browser, browser, {"path": "/"}),
    ]


def test_it_is_paged_both_ways(service: Service, person: Person) -> None:
    id = person[0]
    first = journey(service, id=id, first=2)
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    second = journey(service, id=id, first=2, after=first["pageInfo"]["endCursor"])
    third = journey(service, id=id, first=2, after=second["pageInfo"]["endCursor"])
    assert [len(page["edges"]) for page in (first, second, third)] == [2, 2, 1]
    assert (third["pageInfo"]["hasNextPage"], third["pageInfo"]["hasPreviousPage"]) == (False, True)
    back = journey(service, id=id, last=2, before=third["pageInfo"]["startCursor"])
    assert back["edges"] == second["edges"]
    assert (back["pageInfo"]["hasNextPage"], back["pageInfo"]["hasPreviousPage"]) == (True, True)
    oldest = journey(service, id=id, last=1)
    assert oldest["edges"] == third["edges"]
    assert (oldest["pageInfo"]["hasNextPage"], oldest["pageInfo"]["hasPreviousPage"]) == (False, True)


def test_it_is_filtered_by_type_and_time(service: Service, person: Person) -> None:
    id = person[0]

    def days(**some: Any) -> list[str]:
        return [edge["node"]["at"][8:10] for edge in journey(service, id=id, **some)["edges"]]

    assert days(types=["page", "app.open"]) == ["04", "02", "01"]
    assert days(**{"from": "2026-03-02T10:00:00Z", "to": "2026-03-05T10:00:00Z"}) == ["04", "02"]
    assert days(types=["nothing"]) == []


def test_it_answers_from_the_past(service: Service) -> None:
    """Nobody's profile was known at a moment before the service wrote it, and afterwards it is a part of another."""
    browser, email = an("cookie_id"), an_email()
    service.submit(done("page", 1, browser))
    id = service.profile_of(browser)
    moment = service.post("query($id: ID!) { profile(id: $id) { createdAt } }", {"id": id}).json()
    then = moment["data"]["profile"]["createdAt"]
    service.submit(done("purchase", 2, email), seen(browser, email))
    assert [e["node"]["type"] for e in journey(service, id=id)["edges"]] == ["purchase", "page"]
    assert [e["node"]["type"] for e in journey(service, id=id, asOf=then)["edges"]] == ["page"]


def test_events_add_up(service: Service, person: Person) -> None:
    def of(days: int | None) -> dict[str, Any]:
        body = service.post(AGGREGATES, {"id": person[0], "days": days}).json()
        assert "errors" not in body, body
        return body["data"]["profile"]["aggregates"]

    found = of(None)
    purchases = {
        "type": "purchase",
        "count": 2,
        "firstAt": "2026-03-05T10:00:00Z",
        "lastAt": "2026-03-06T10:00:00Z",
        "sum": 19.75,
        "sources": ["app", "shop"],
    }
    assert found.pop("events")[2] == purchases
    assert found == {
        "firstSeenAt": "2026-03-01T10:00:00Z",
        "lastSeenAt": "2026-03-06T10:00:00Z",
        "lifetimeValue": 19.75,
        "lastPurchaseAt": "2026-03-06T10:00:00Z",
        "favouriteChannel": "app",
        "rule": "aggregate",
    }
    assert (of(1)["events"], len(of(36_500)["events"])) == ([], 3)


def test_what_events_add_up_to_is_in_the_golden_record(service: Service, person: Person) -> None:
    """With what it is of and as of when; what somebody says of such a name goes before it, until it is taken back."""
    query = """query($id: ID!) { profile(id: $id) { goldenRecord { name value type source observedAt rule
        alternatives { value source } } } }"""

    def golden() -> dict[str, Any]:
        found = service.post(query, {"id": person[0]}).json()["data"]["profile"]["goldenRecord"]
        return {one.pop("name"): one for one in found}

    def summed(value: Any, type: str) -> dict[str, Any]:
        told = {"value": value, "type": type, "observedAt": "2026-03-06T10:00:00Z"}
        return told | {"source": "aggregate", "rule": "aggregate", "alternatives": []}

    found = golden()
    assert found == {
        "favourite_channel": summed("app", "TEXT"),
        "first_seen": summed("2026-03-01T10:00:00Z", "DATE"),
        "last_purchase": summed("2026-03-06T10:00:00Z", "DATE"),
        "last_seen": summed("2026-03-06T10:00:00Z", "DATE"),
        "lifetime_value": summed(19.75, "NUMBER"),
    }
    said = {"profileId": person[0], "name": "lifetime_value", "reason": "paid in cash"}
    for mutation, given, wanted in (
        ("overrideTrait", {"value": 100}, (100, "override", [{"value": 19.75, "source": "aggregate"}])),
        ("removeOverride", {}, (19.75, "aggregate", [])),
    ):
        change = f"mutation($i: {mutation[0].upper()}{mutation[1:]}Input!) {{ {mutation}(input: $i) {{ __typename }} }}"
        service.post(change, {"i": said | given})
        one = golden()["lifetime_value"]
        assert (one["value"], one["rule"], one["alternatives"]) == wanted


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"first": 0}, "first must lie between 1 and 100"),
        ({"last": 101}, "last must lie between 1 and 100"),
        ({"first": 1, "last": 1}, "first goes with after and last with before; give one of the two pairs"),
        ({"first": 1, "before": "x"}, "first goes with after and last with before; give one of the two pairs"),
        ({"after": "x"}, "after must be a cursor that this list gave out"),
        ({"before": "WzFd"}, "before must be a cursor that this list gave out"),
        ({"types": ["Page"]}, "types must name event types of 1 to 64 small letters, digits, '_', '.', ':' or '-'"),
        ({"types": ["a"] * 51}, "types has at most 50 items"),
        ({"from": "soon"}, "from must be an ISO 8601 date and time such as 2026-03-01T10:00:00Z"),
        ({"to": "2026-13-01"}, "to must be an ISO 8601 date and time such as 2026-03-01T10:00:00Z"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    service: Service, person: Person, given: dict[str, Any], sentence: str
) -> None:
    (error,) = service.post(JOURNEY, {"id": person[0], **given}).json()["errors"]
    assert (error["extensions"]["code"], error["message"]) == ("BAD_INPUT", sentence)


def test_a_bad_event_spoils_no_other_observation(service: Service) -> None:
    good, bad = done("page", 1, an("cookie_id")), done("Page view", 1, an("cookie_id"))
    accepted, rejected = service.submit(good, bad)
    assert accepted["__typename"] == "ObservationAccepted"
    assert (rejected["code"], rejected["path"]) == ("INVALID_OBSERVATION", ["event", "type"])
    (repeated,) = service.submit(good | {"event": {"type": "purchase"}})
    assert repeated["code"] == "ID_REUSED"


@pytest.mark.parametrize(
    ("declared", "sizes"),
    [("", ""), ("", "(first: null)"), (", $n: Int", "(last: $n)"), (", $none: Int", "(first: $none, types: [])")],
)
def test_a_journey_counts_as_long_as_its_page(service: Service, person: Person, declared: str, sizes: str) -> None:
    """Twenty where nothing says how many: 300 profiles with 20 events each, or with 100, are too much."""
    query = f"""query($i: [IdentifierInput!]!{declared}) {{ resolve(identifiers: $i) {{
        profile {{ id journey{sizes} {{ edges {{ node {{ id }} }} }} }} }} }}"""
    (error,) = service.post(query, {"i": [person[1]] * 300, "n": 100}).json()["errors"]
    assert error["extensions"]["code"] == "TOO_COMPLEX"
    assert "errors" not in service.post(query, {"i": [person[1]] * 20, "n": 100}).json()
