"""Observations taken back and brought back through GraphQL, on the real database."""

from datetime import UTC, datetime
from typing import Any

import pytest

from .live import Service, an, an_email, seen

WHY = {"reason": "the till was broken"}
RETRACT = """mutation($input: RetractInput!) { retract(input: $input) {
    consistencyToken retracted remaining
    outcome { __typename
        ... on ProfileChanged { profile { id size } changes { id kind participants { role } } }
        ... on ChangeRefused { code message } } } }"""
OVERRIDE = """mutation($input: OverrideTraitInput!) { overrideTrait(input: $input) {
    outcome { ... on ChangeRefused { code message } } } }"""
PICTURE = """query($id: ID!, $at: DateTime) { profile(id: $id, asOf: $at) { id status size
    identifiers(first: 50) { edges { node { namespace value } } }
    goldenRecord { name value }
    aggregates { events { type count } } } }"""


def retract(service: Service, **observations: Any) -> dict[str, Any]:
    more = {name: observations.pop(name) for name in ("first", "dryRun") if name in observations}
    answer = service.post(RETRACT, {"input": WHY | {"observations": observations} | more}).json()
    assert "errors" not in answer, answer
    return answer["data"]["retract"]


def picture(service: Service, id: str, at: str | None = None) -> dict[str, Any]:
    found = service.post(PICTURE, {"id": id, "at": at}).json()["data"]["profile"]
    return {
        "id": found["id"],
        "status": found["status"],
        "keys": sorted(edge["node"]["value"] for edge in found["identifiers"]["edges"]),
        "golden": {trait["name"]: trait["value"] for trait in found["goldenRecord"]},
        "events": {one["type"]: one["count"] for one in found["aggregates"]["events"]},
    }


def undo(service: Service, outcome: dict[str, Any]) -> dict[str, Any]:
    (own,) = [change for change in outcome["changes"] if change["kind"] in ("RETRACTED", "RESTORED")]
    payload = service.run("UndoChange", {"input": WHY | {"changeId": own["id"]}})["undoChange"]
    assert payload["outcome"]["__typename"] == "ProfileChanged", payload
    return payload["outcome"]


def test_what_is_taken_back_was_never_said_and_comes_back_whole(service: Service) -> None:
    card, mail, phone = an("loyalty_id"), an_email(), an("device_id")
    row = {"recordId": an("x")["value"], "source": "crm"}
    (first,) = service.submit(seen(card, mail, traits={"city": "Utrecht"}, observedAt="2026-03-01T10:00:00Z", **row))
    bought = {"type": "purchase", "properties": {"value": 12.5}}
    wrong = seen(card, phone, traits={"city": "Paris"}, event=bought, observedAt="2026-03-02T10:00:00Z", **row)
    service.submit(wrong)
    id = first["profile"]["id"]
    before, then = picture(service, id), datetime.now(UTC).isoformat()
    assert (before["golden"]["city"], before["events"]) == ("Paris", {"purchase": 1})

    foretold = retract(service, ids=[wrong["id"]], dryRun=True)
    assert (foretold["consistencyToken"], picture(service, id)) == ("", before)
    done = retract(service, ids=[wrong["id"]])
    assert (done["retracted"], done["remaining"]) == (1, 0)
    (change,) = done["outcome"]["changes"]
    assert (change["kind"], change["participants"]) == ("RETRACTED", [{"role": "PARTY"}])
    told = service.run("MergeLineage", {"profileId": id})["profile"]["lineage"]["edges"][0]["node"]
    assert (told["kind"], told["cause"]["reason"]) == ("RETRACTED", WHY["reason"])
    after = picture(service, id)
    assert (after["golden"]["city"], after["events"]) == ("Utrecht", {})
    assert set(before["keys"]) - set(after["keys"]) == {phone["value"]}
    assert service.resolve(phone)[0]["status"] == "UNKNOWN"
    assert picture(service, id, then)["keys"] == before["keys"]
    assert picture(service, id, then)["golden"]["city"] == "Paris"
    (found,) = service.resolve(phone, asOf=then)
    assert found["profile"]["id"] == id

    (again,) = service.submit(wrong)
    assert (again["__typename"], again["code"]) == ("ObservationRejected", "RETRACTED")
    restored = undo(service, done["outcome"])
    assert picture(service, id) == before
    assert service.submit(wrong)[0]["duplicate"]
    undo(service, restored)
    assert picture(service, id) == after


def test_a_person_of_whom_nothing_is_left_is_erased_and_comes_back_by_the_same_id(service: Service) -> None:
    mail, phone = an_email(), an("device_id")
    said = [seen(mail), seen(mail, phone, traits={"name": "Ada"})]
    (told, _) = service.submit(*said)
    id = told["profile"]["id"]
    before = picture(service, id)
    done = retract(service, ids=[one["id"] for one in said])
    assert done["outcome"]["profile"] == {"id": id, "size": 0}
    gone = {"id": id, "status": "ERASED", "keys": [], "golden": {}, "events": {}}
    assert picture(service, id) == gone
    nobody = datetime.now(UTC).isoformat()
    undo(service, done["outcome"])
    assert picture(service, id) == before
    assert picture(service, id, nobody)["status"] == "ERASED"
    assert picture(service, id, datetime.now(UTC).isoformat())["status"] == "ACTIVE"
    assert service.profile_of(phone) == id


def test_of_a_shared_identifier_that_too_few_are_left_to_share_people_are_joined_again(service: Service) -> None:
    tablet, users = an("device_id"), [an("crm_id") for _ in range(6)]
    said = [seen(tablet, user, an_email()) for user in users]
    answers = service.submit(*said)
    assert service.resolve(tablet)[0]["status"] == "SHARED"
    before = [service.profile_of(user) for user in users]
    then = datetime.now(UTC).isoformat()
    done = retract(service, ids=[said[0]["id"]])
    assert service.resolve(tablet)[0]["status"] == "RESOLVED"
    assert service.resolve(tablet, asOf=then)[0]["status"] == "SHARED"
    assert service.profile_of(tablet) in {service.profile_of(user) for user in users[1:]}
    assert service.resolve(users[0])[0]["status"] == "UNKNOWN"
    undo(service, done["outcome"])
    assert service.resolve(tablet)[0]["status"] == "SHARED"
    assert [service.profile_of(user) for user in users] == before
    assert answers[0]["profile"]["id"] == before[0]


MEMBERS = """query($i: IdentifierInput!, $at: DateTime) { profileByIdentifier(identifier: $i, asOf: $at) {
    identifiers { edges { node { value state sources } } } } }"""


def test_the_past_knows_who_was_shared_and_which_sources_had_seen_whom(service: Service) -> None:
    tablet, users = an("device_id"), [an("crm_id") for _ in range(6)]

    def seen_then(key: dict[str, str], at: str | None = None) -> list[tuple[str, list[str]]]:
        found = service.post(MEMBERS, {"i": key, "at": at}).json()["data"]["profileByIdentifier"]["identifiers"]
        nodes = [edge["node"] for edge in found["edges"]]
        return [(n["state"], sorted(n["sources"])) for n in nodes if n["value"] == key["value"]]

    shop = seen(users[0], source="shop")
    moments: list[tuple[str, Any]] = []
    for step in ([seen(tablet, users[0])], [shop], [seen(tablet, user) for user in users[1:]]):
        service.submit(*step)
        moments.append((datetime.now(UTC).isoformat(), [seen_then(key) for key in (tablet, users[0])]))
    retract(service, ids=[shop["id"]])
    moments.append((datetime.now(UTC).isoformat(), [seen_then(key) for key in (tablet, users[0])]))
    assert [[state for ((state, _),) in found] for _, found in moments] == [
        ["ACTIVE", "ACTIVE"],
        ["ACTIVE", "ACTIVE"],
        ["SHARED", "ACTIVE"],
        ["SHARED", "ACTIVE"],
    ]
    assert [found[1][0][1] for _, found in moments] == [["web"], ["shop", "web"], ["shop", "web"], ["web"]]
    for at, found in moments:
        assert [seen_then(key, at) for key in (tablet, users[0])] == found


def test_all_of_a_source_is_taken_back_in_pages(service: Service) -> None:
    source = an("x")["value"]
    people = [(an_email(), an("phone", f"+31 6 2{n}34 5678")) for n in range(3)]
    for one, two in people:
        service.submit(seen(one), seen(two), seen(one, two, source=source))
    done = retract(service, source=source, first=2)
    assert (done["retracted"], done["remaining"]) == (2, 1)
    assert (retract(service, source=source)["remaining"]) == 0
    assert all(service.profile_of(one) != service.profile_of(two) for one, two in people)
    assert retract(service, source=source)["outcome"]["code"] == "NOTHING_TO_RETRACT"
    undo(service, done["outcome"])
    together = [service.profile_of(one) == service.profile_of(two) for one, two in people]
    assert sorted(together) == [False, True, True]


ALL = """mutation($input: UndoRetractionsInput!) { undoRetractions(input: $input) {
    remaining endCursor results { changeId outcome { __typename } } } }"""


def test_all_that_was_taken_back_of_a_source_is_brought_back_in_pages(service: Service) -> None:
    source, other = an("x")["value"], an("x")["value"]
    people = [(an_email(), an("phone", f"+31 6 3{n}34 5678")) for n in range(3)]
    ids = [service.submit(seen(*both, source=source))[0]["profile"]["id"] for both in people]
    apart = (an_email(), an_email())
    service.submit(seen(*apart, source=other))
    own: list[str] = []
    for _ in people:
        changes = retract(service, source=source, first=1)["outcome"]["changes"]
        own += [change["id"] for change in changes if change["kind"] == "RETRACTED"]
    retract(service, source=other)
    assert [found["status"] for found in service.resolve(*(one for one, _ in people))] == ["UNKNOWN"] * 3

    def bring_back(**more: Any) -> tuple[list[str], int, str | None]:
        answer = service.post(ALL, {"input": WHY | {"source": source, "first": 2} | more}).json()
        page = answer["data"]["undoRetractions"]
        assert all(one["outcome"]["__typename"] == "ProfileChanged" for one in page["results"])
        return [one["changeId"] for one in page["results"]], page["remaining"], page["endCursor"]

    assert bring_back(dryRun=True)[:2] == ([own[2], own[1]], 1)
    found, left, after = bring_back()
    assert (found, left) == ([own[2], own[1]], 1)
    assert bring_back(after=after)[:2] == ([own[0]], 0)
    assert [service.profile_of(key) for both in people for key in both] == [id for id in ids for _ in range(2)]
    assert bring_back() == ([], 0, None)
    assert {found["status"] for found in service.resolve(*apart)} == {"UNKNOWN"}


LINKS = """query($from: IdentifierInput!, $to: IdentifierInput!) {
    explainConnection(from: $from, to: $to) { path { id } } }"""


def test_a_link_goes_with_every_observation_that_says_it(service: Service) -> None:
    mail, phone, other = an_email(), an("device_id"), an("loyalty_id")
    service.submit(seen(mail, other), seen(mail, phone), seen(mail, phone, other), seen(mail, phone, source="shop"))
    (path,) = service.post(LINKS, {"from": mail, "to": phone}).json()["data"]["explainConnection"]["path"]
    assert retract(service, linkId=path["id"])["retracted"] in (1, 2)
    assert retract(service, linkId=path["id"])["outcome"]["code"] == "UNKNOWN_LINK"
    assert service.profile_of(mail) == service.profile_of(other)


def test_a_persons_word_keeps_what_it_names(service: Service) -> None:
    """A cannot-link holds when what it names is observed again, and its identifiers are there meanwhile."""
    one, two = an_email(), an_email()
    said = [seen(one), seen(two)]
    service.submit(*said)
    service.run("SetCannotLink", {"input": WHY | {"a": one, "b": two}})
    retract(service, ids=[observation["id"] for observation in said])
    assert [found["status"] for found in service.resolve(one, two)] == ["RESOLVED", "RESOLVED"]
    whole = service.run("Customer360", {"identifier": one})["profileByIdentifier"]
    (node,) = [edge["node"] for edge in whole["identifiers"]["edges"]]
    assert (node["firstSeenAt"], node["lastSeenAt"], node["sources"]) == (None, None, [])
    (told,) = service.submit(seen(one, two))
    assert [link["code"] for link in told["refusedLinks"]] == ["CANNOT_LINK"]


@pytest.mark.parametrize(
    ("observations", "code"),
    [({"ids": ["never"]}, "UNKNOWN_OBSERVATION"), ({"linkId": "never"}, "UNKNOWN_LINK")],
)
def test_what_cannot_be_taken_back_is_named(service: Service, observations: dict[str, Any], code: str) -> None:
    refused = retract(service, **observations)["outcome"]
    assert (refused["__typename"], refused["code"]) == ("ChangeRefused", code)


def test_an_observation_of_junk_alone_is_taken_back_and_brought_back(service: Service) -> None:
    said = seen(an("cookie_id", "null"))
    service.submit(said)
    done = retract(service, ids=[said["id"]])
    assert (done["retracted"], done["outcome"]["profile"]) == (1, None)
    assert service.submit(said)[0]["code"] == "RETRACTED"
    undo(service, done["outcome"])
    assert service.submit(said)[0]["duplicate"]


def test_nothing_is_taken_back_twice(service: Service) -> None:
    said = seen(an_email(), an("device_id"))
    service.submit(said)
    done = retract(service, ids=[said["id"]])
    assert retract(service, ids=[said["id"]])["outcome"]["code"] == "ALREADY_RETRACTED"
    undo(service, done["outcome"])
    (change,) = done["outcome"]["changes"]
    payload = service.run("UndoChange", {"input": WHY | {"changeId": change["id"]}})["undoChange"]
    assert payload["outcome"]["code"] == "ALREADY_UNDONE"


@pytest.mark.parametrize("observations", [{}, {"ids": []}, {"ids": ["a"], "source": "b"}])
def test_an_unclear_choice_of_observations_is_refused(service: Service, observations: dict[str, Any]) -> None:
    (error,) = service.post(RETRACT, {"input": WHY | {"observations": observations}}).json()["errors"]
    assert "observations" in error["message"]


def test_what_comes_back_but_is_held_back_is_named(service: Service) -> None:
    ada, bob, tablet = an("crm_id"), an("crm_id"), an("device_id")
    wrong = seen(ada, tablet)
    service.submit(seen(ada), wrong)
    (own,) = [c for c in retract(service, ids=[wrong["id"]])["outcome"]["changes"] if c["kind"] == "RETRACTED"]
    service.submit(seen(bob, tablet, observedAt="2026-03-03T10:00:00Z"))
    query = """mutation($input: UndoChangeInput!) { undoChange(input: $input) {
        outcome { ... on ProfileChanged { heldBack { code } } } } }"""
    undone = service.post(query, {"input": WHY | {"changeId": own["id"]}}).json()["data"]["undoChange"]
    assert undone == {"outcome": {"heldBack": [{"code": "UNIQUE_NAMESPACE"}]}}


def test_nothing_is_said_of_a_profile_that_is_nobodys(service: Service) -> None:
    gone, mail = seen(an("loyalty_id")), an_email()
    (first,), (other,) = service.submit(gone), service.submit(seen(mail))
    retract(service, ids=[gone["id"]])
    id = first["profile"]["id"]
    given = {"input": WHY | {"profileId": id, "name": "city", "value": "Delft"}}
    overridden = service.post(OVERRIDE, given).json()["data"]["overrideTrait"]["outcome"]
    merged = service.run("MergeProfiles", {"input": WHY | {"profileIds": [other["profile"]["id"], id]}})
    for outcome in (overridden, merged["mergeProfiles"]["outcome"]):
        assert outcome["code"] == "ERASED_PROFILE"
        assert id in outcome["message"]
