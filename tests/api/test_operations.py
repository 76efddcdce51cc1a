"""Every operation of the contract, as clients hold it, on the real database."""

from datetime import UTC, datetime
from typing import Any

import graphql
import pytest

from identity_graph.api.schema import core_schema, sdl

from .live import OPERATIONS, ROOT, Cypher, Service, an, an_email, seen

SERVED = {
    *("SubmitLinks", "Resolve", "Customer360", "ProfileById", "CrossDevice", "MergeLineage"),
    *("MergeProfiles", "SplitProfile", "UndoChange", "SetCannotLink", "RemoveCannotLink"),
    *("Proposals", "DecideProposal", "ExplainConnection", "ScoreRecords", "MatchModel", "Journey"),
    *("DefineSegment", "DeleteSegment", "PreviewSegment", "SegmentMembers", "ExplainMembership"),
}


def test_the_snapshot_is_the_schema() -> None:
    """Run `identity-graph export-schema --out graphql/schema.graphql` after a change."""
    assert (ROOT / "graphql" / "schema.graphql").read_text() == sdl()


@pytest.mark.parametrize("operation", sorted(SERVED))
def test_the_operation_validates(operation: str) -> None:
    document = graphql.parse((OPERATIONS / f"{operation}.graphql").read_text())
    assert graphql.validate(core_schema(), document) == []


def test_what_is_submitted_can_be_seen_from_every_side(service: Service) -> None:
    email, cookie, phone = an_email(), an("cookie_id"), an("phone", "+31 6 1234 5678")
    web = seen(cookie, email, traits={"first_name": "Ada", "country": "NL"})
    crm = seen(
        email,
        phone,
        source="crm",
        recordId="42",
        observedAt="2026-03-02T09:30:00Z",
        traits={"first_name": "Augusta", "dob": "1990-12-10"},
    )
    first, second = service.submit(web, crm)
    assert first["__typename"] == second["__typename"] == "ObservationAccepted"
    assert first["profile"] == second["profile"]
    id = first["profile"]["id"]

    found, unknown = service.resolve(cookie, an_email())
    assert (found["status"], found["profile"], found["identifier"]) == ("RESOLVED", {"id": id}, cookie)
    assert (unknown["status"], unknown["profile"]) == ("UNKNOWN", None)

    profile = service.run("Customer360", {"identifier": email})["profileByIdentifier"]
    assert (profile["id"], profile["status"], profile["size"], profile["segments"]) == (id, "ACTIVE", 4, [])
    golden = {trait["name"]: trait for trait in profile["goldenRecord"]}
    assert golden["first_name"] == {
        "name": "first_name",
        "value": "Augusta",
        "source": "crm",
        "observedAt": "2026-03-02T09:30:00Z",
        "rule": "newest",
        "alternatives": [{"value": "Ada", "source": "web", "observedAt": "2026-03-01T10:00:00Z"}],
    }
    assert {name: trait["value"] for name, trait in golden.items()} == {
        "first_name": "Augusta",
        "country": "NL",
        "dob": "1990-12-10",
        "first_seen": "2026-03-01T10:00:00Z",
        "last_seen": "2026-03-02T09:30:00Z",
    }
    identifiers = [edge["node"] for edge in profile["identifiers"]["edges"]]
    assert profile["identifiers"]["totalCount"] == len(identifiers) == 4
    assert {(i["namespace"], i["value"]) for i in identifiers} == {
        ("cookie_id", cookie["value"]),
        ("email", email["value"]),
        ("phone", "+31612345678"),
        ("record", "crm/42"),
    }
    (device,) = [i for i in identifiers if i["isDevice"]]
    assert device == {
        "namespace": "cookie_id",
        "value": cookie["value"],
        "isDevice": True,
        "firstSeenAt": "2026-03-01T10:00:00Z",
        "lastSeenAt": "2026-03-01T10:00:00Z",
        "sources": ["web"],
        "state": "ACTIVE",
    }
    records = [edge["node"] for edge in profile["records"]["edges"]]
    assert [(r["source"], r["recordId"], r["traits"]) for r in records] == [
        ("crm", "42", crm["traits"]),
        ("web", None, web["traits"]),
    ]


def test_a_merged_profile_is_found_by_its_old_id(service: Service) -> None:
    left, right = an_email(), an("phone", "+31 20 123 4567")
    (older,), (younger,) = service.submit(seen(left)), service.submit(seen(right))
    (merged,) = service.submit(seen(left, right))
    survivor, lost = older["profile"]["id"], younger["profile"]["id"]
    assert merged["profile"]["id"] == survivor
    assert [change["kind"] for change in merged["changes"]] == ["MERGED"]

    profile = service.run("ProfileById", {"id": lost})["profile"]
    assert (profile["id"], profile["redirectedFrom"], profile["status"]) == (survivor, lost, "ACTIVE")
    assert profile["identifiers"]["totalCount"] == profile["size"] == 2
    assert service.run("ProfileById", {"id": survivor})["profile"]["redirectedFrom"] is None
    assert service.run("ProfileById", {"id": "nobody"})["profile"] is None


def test_lineage_tells_every_change_and_its_cause(service: Service) -> None:
    left, right = an_email(), an("cookie_id")
    (older,), (younger,) = service.submit(seen(left)), service.submit(seen(right))
    (merged,) = service.submit(seen(left, right, source="crm"))
    survivor, lost = older["profile"]["id"], younger["profile"]["id"]

    profile = service.run("MergeLineage", {"profileId": survivor})["profile"]
    lineage = profile["lineage"]
    nodes = [edge["node"] for edge in lineage["edges"]]
    assert [node["kind"] for node in nodes] == ["MERGED", "CREATED", "CREATED"]
    assert lineage["totalCount"] == 3
    merge = nodes[0]
    assert merge["id"] == merged["changes"][0]["id"]
    assert {(p["profileId"], p["role"]) for p in merge["participants"]} == {(survivor, "SURVIVOR"), (lost, "MERGED")}
    assert merge["movedIdentifiers"] == [right]
    cause = merge["cause"]
    assert cause["__typename"] == "LinkCause"
    assert (cause["link"]["kind"], cause["link"]["source"]) == ("OBSERVED", "crm")
    assert [cause["link"]["from"], cause["link"]["to"]] == [right, left]
    # Each was made by one identifier alone, so by no link.
    assert {node["participants"][0]["profileId"] for node in nodes[1:]} == {survivor, lost}
    assert [node["cause"]["link"] for node in nodes[1:]] == [None, None]


def test_lineage_is_paged_without_loss_or_repeat(service: Service) -> None:
    hub = an("user_id")
    emails = [an_email() for _ in range(6)]
    service.submit(*(seen(email) for email in emails))
    service.submit(*(seen(hub, email) for email in emails))
    id = service.profile_of(hub)
    whole = service.run("MergeLineage", {"profileId": id})["profile"]["lineage"]
    assert whole["totalCount"] == len(whole["edges"]) == 6 + 5
    paged: list[str] = []
    after = None
    while True:
        page = service.run("MergeLineage", {"profileId": id, "first": 4, "after": after})["profile"]["lineage"]
        assert page["totalCount"] == 11
        paged += [edge["node"]["id"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert paged == [edge["node"]["id"] for edge in whole["edges"]]


def test_devices_of_the_person_behind_a_device(service: Service) -> None:
    user, phone, tablet, cookie = an("user_id"), an("device_id"), an("device_id"), an("cookie_id")
    service.submit(
        seen(user, phone, observedAt="2026-03-01T10:00:00Z"),
        seen(user, tablet, observedAt="2026-03-03T10:00:00Z"),
        seen(user, cookie, observedAt="2026-03-02T10:00:00Z"),
    )
    answer = service.run("CrossDevice", {"device": phone})["crossDevice"]
    assert (answer["status"], answer["profile"]["id"]) == ("RESOLVED", service.profile_of(user))
    assert answer["devices"] == [
        {"identifier": tablet, "lastSeenAt": "2026-03-03T10:00:00Z", "confidence": 1.0},
        {"identifier": cookie, "lastSeenAt": "2026-03-02T10:00:00Z", "confidence": 1.0},
    ]
    stranger = service.run("CrossDevice", {"device": an("device_id")})["crossDevice"]
    assert stranger == {"status": "UNKNOWN", "profile": None, "devices": []}


def test_devices_as_of_a_moment(service: Service) -> None:
    """What joined later is not among them, and what was taken off later is."""
    user, phone, tablet, cookie = an("user_id"), an("device_id"), an("device_id"), an("cookie_id")
    service.submit(seen(user, phone), seen(user, tablet))
    between = datetime.now(UTC).isoformat()
    service.submit(seen(user, cookie))
    given = {"profileId": service.profile_of(phone), "identifiers": [tablet], "reason": "it was sold"}
    service.run("SplitProfile", {"input": given})
    text = """query($device: IdentifierInput!, $asOf: DateTime) {
        crossDevice(device: $device, asOf: $asOf) { status devices { identifier { namespace value } confidence } } }"""

    def devices(**when: str) -> list[Any]:
        answer = service.post(text, {"device": phone, **when}).json()["data"]["crossDevice"]
        return [answer["status"], *((d["identifier"], d["confidence"]) for d in answer["devices"])]

    assert devices(asOf=between) == ["RESOLVED", (tablet, 1.0)]
    assert devices() == ["RESOLVED", (cookie, 1.0)]
    assert devices(asOf="2020-01-01T00:00:00Z") == ["UNKNOWN"]


def test_a_matched_link_makes_a_device_less_sure(service: Service, cypher: Cypher) -> None:
    """The service itself writes no link of the model, so the test turns an observed one into one."""
    user, email, phone, tablet = an("user_id"), an_email(), an("device_id"), an("device_id")
    service.submit(seen(user, phone), seen(email, tablet))
    service.submit(seen(user, email, source="model"))
    cypher(
        "MATCH (:Identifier {key: $a})-[l:LINK]-(:Identifier {key: $b}) SET l.kind = 'MATCHED', l.weight = 3.0",
        a=f"user_id:{user['value']}",
        b=f"email:{email['value']}",
    )
    (device,) = service.run("CrossDevice", {"device": phone})["crossDevice"]["devices"]
    assert device["identifier"] == tablet
    assert device["confidence"] == pytest.approx(8 / 9)


def test_a_list_of_identifiers_is_paged_in_order(service: Service) -> None:
    user = an("user_id")
    emails = sorted((an_email() for _ in range(7)), key=lambda i: i["value"])
    service.submit(*(seen(user, email) for email in emails))
    query = """query($id: ID!, $after: String) { profile(id: $id) {
        identifiers(first: 3, after: $after) { edges { cursor node { value } } pageInfo { hasNextPage endCursor } }
    } }"""
    values: list[str] = []
    after = None
    while True:
        page = service.post(query, {"id": service.profile_of(user), "after": after}).json()["data"]["profile"]
        edges = page["identifiers"]["edges"]
        assert page["identifiers"]["pageInfo"]["endCursor"] == edges[-1]["cursor"]
        values += [edge["node"]["value"] for edge in edges]
        after = edges[-1]["cursor"]
        if not page["identifiers"]["pageInfo"]["hasNextPage"]:
            break
    assert values == [email["value"] for email in emails] + [user["value"]]


def test_of_the_future_nothing_is_known(service: Service) -> None:
    query = (
        'query($at: DateTime!) { resolve(identifiers: [], asOf: $at) { status } profile(id: "x", asOf: $at) { id } }'
    )
    for error in service.post(query, {"at": "2100-01-01T00:00:00Z"}).json()["errors"]:
        assert error["extensions"]["code"] == "BAD_INPUT"
        assert "asOf lies in the future" in error["message"]
    answer = service.http.post("/v1/resolve", json={"identifiers": [], "asOf": "2100-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_INPUT")


def test_the_past_is_answered_as_it_was(service: Service) -> None:
    left, right = an_email(), an("cookie_id")
    (older,), (younger,) = service.submit(seen(left)), service.submit(seen(right, traits={"plan": "pro"}))
    survivor, lost = older["profile"]["id"], younger["profile"]["id"]
    apart = service.run("Customer360", {"identifier": right})["profileByIdentifier"]["createdAt"]
    service.submit(seen(left, right))

    then = service.resolve(left, right, asOf=apart)
    assert [r["profile"]["id"] for r in then] == [survivor, lost]
    now = service.resolve(left, right)
    assert [r["profile"]["id"] for r in now] == [survivor, survivor]

    before = service.run("ProfileById", {"id": lost, "asOf": apart})["profile"]
    assert (before["id"], before["redirectedFrom"], before["status"], before["size"]) == (lost, None, "ACTIVE", 1)
    assert [edge["node"] for edge in before["identifiers"]["edges"]] == [right]
    after = service.run("ProfileById", {"id": lost, "asOf": datetime.now(UTC).isoformat()})["profile"]
    assert (after["id"], after["redirectedFrom"], after["size"]) == (survivor, lost, 2)
    assert service.run("ProfileById", {"id": lost, "asOf": "2020-01-01T00:00:00Z"})["profile"] is None

    whole = service.run("Customer360", {"identifier": right, "asOf": apart})["profileByIdentifier"]
    assert whole["id"] == lost
    assert [trait["name"] for trait in whole["goldenRecord"]] == ["plan"]
    assert whole["records"]["totalCount"] == whole["identifiers"]["totalCount"] == 1
    assert service.resolve(left, asOf="2020-01-01T00:00:00Z")[0]["status"] == "UNKNOWN"


SIGHTS = """query($of: IdentifierInput!, $beside: IdentifierInput!, $at: DateTime) {
    profileByIdentifier(identifier: $of, asOf: $at) {
        identifiers { edges { node { value firstSeenAt lastSeenAt } } }
        lineage(first: 1) { edges { node { cause { ... on LinkCause { link { firstSeenAt lastSeenAt count } } } } } } }
    crossDevice(device: $beside, asOf: $at) { devices { lastSeenAt } } }"""


def test_when_something_was_seen_is_told_as_it_was_known_then(service: Service) -> None:
    """Not by what arrived later, though it tells of earlier; and not at all where that is not kept."""
    phone, tablet = an("device_id"), an("device_id")

    def day(number: int) -> str:
        return f"2026-01-{number:02}T10:00:00Z"

    def told(at: str | None = None) -> tuple[list[str | None], dict[str, Any]]:
        found = service.post(SIGHTS, {"of": phone, "beside": tablet, "at": at}).json()["data"]
        profile = found["profileByIdentifier"]
        (node,) = [e["node"] for e in profile["identifiers"]["edges"] if e["node"]["value"] == phone["value"]]
        (device,) = found["crossDevice"]["devices"]
        assert device["lastSeenAt"] == node["lastSeenAt"]
        link = profile["lineage"]["edges"][0]["node"]["cause"]["link"]
        return [node["firstSeenAt"], node["lastSeenAt"]], link

    service.submit(seen(phone, tablet, observedAt=day(10)))
    moments: list[tuple[str, list[str | None]]] = []
    known = [10]
    for number in (5, 7, 12, 11):
        moments.append((datetime.now(UTC).isoformat(), [day(min(known)), day(max(known))]))
        service.submit(seen(phone, tablet, observedAt=day(number)))
        known.append(number)
    assert told() == ([day(5), day(12)], {"firstSeenAt": day(5), "lastSeenAt": day(12), "count": 5})
    not_kept = {"firstSeenAt": None, "lastSeenAt": None, "count": None}
    for (at, (first, last)), changed_since in zip(moments, (True, True, True, False), strict=True):
        assert told(at) == ([first, None if changed_since else last], not_kept)


def test_an_id_leads_through_every_merge_of_its_time(service: Service) -> None:
    first, second, third = an_email(), an_email(), an_email()
    ids = [service.submit(seen(email))[0]["profile"]["id"] for email in (first, second, third)]
    (one,) = service.submit(seen(second, third))
    assert one["profile"]["id"] == ids[1]
    between = service.run("MergeLineage", {"profileId": ids[1]})["profile"]["lineage"]["edges"][0]["node"]["at"]
    service.submit(seen(first, second))
    # Its tombstone points at today's survivor; at that time the id led to another one.
    assert service.run("ProfileById", {"id": ids[2]})["profile"]["id"] == ids[0]
    assert service.run("ProfileById", {"id": ids[2], "asOf": between})["profile"]["id"] == ids[1]


def test_a_dry_run_tells_and_writes_nothing(service: Service) -> None:
    email, cookie = an_email(), an("cookie_id")
    data = service.run("SubmitLinks", {"input": {"observations": [seen(email, cookie)], "dryRun": True}})
    assert data["submitLinks"]["consistencyToken"] == ""
    (told,) = data["submitLinks"]["results"]
    assert (told["__typename"], told["profile"]["size"]) == ("ObservationAccepted", 2)
    assert [found["status"] for found in service.resolve(email, cookie)] == ["UNKNOWN", "UNKNOWN"]
    assert service.run("ProfileById", {"id": told["profile"]["id"]})["profile"] is None


def test_a_repeat_gives_the_first_answer(service: Service) -> None:
    observation = seen(an_email(), an("cookie_id"))
    (first,), (again,) = service.submit(observation), service.submit(observation)
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert again | {"duplicate": False} == first
    twice = seen(an_email())
    assert [result["duplicate"] for result in service.submit(twice, twice)] == [False, True]


def test_a_read_with_the_token_of_a_write_sees_it(service: Service) -> None:
    email = an_email()
    data = service.run("SubmitLinks", {"input": {"observations": [seen(email)]}})["submitLinks"]
    found = service.run("Resolve", {"identifiers": [email]}, x_consistency_token=data["consistencyToken"])
    assert found["resolve"][0]["profile"]["id"] == data["results"][0]["profile"]["id"]


def test_a_node_is_found_by_its_id(service: Service) -> None:
    (told,) = service.submit(seen(an_email(), an("cookie_id")))
    query = """query($id: ID!) { node(id: $id) { __typename id ... on Change { kind cause { ... on LinkCause {
        link { id from { namespace } } } } } } }"""
    profile = service.post(query, {"id": told["profile"]["id"]}).json()["data"]["node"]
    assert profile == {"__typename": "Profile", "id": told["profile"]["id"]}
    change = service.post(query, {"id": told["changes"][0]["id"]}).json()["data"]["node"]
    assert (change["__typename"], change["kind"]) == ("Change", "CREATED")
    link = service.post(query, {"id": change["cause"]["link"]["id"]}).json()["data"]["node"]
    assert link == {"__typename": "Link", "id": change["cause"]["link"]["id"]}
    assert service.post(query, {"id": "nothing"}).json()["data"]["node"] is None


def test_what_a_write_left_can_be_asked_in_the_same_request(service: Service) -> None:
    email = an_email()
    query = """mutation($input: SubmitLinksInput!) { submitLinks(input: $input) { results { ... on ObservationAccepted {
        profile { status createdAt identifiers { edges { node { value } } } goldenRecord { name value } }
        changes { kind at participants { profileId role } } } } } }"""
    observation = seen(email, traits={"n": [1, {"two": None}]})
    data = service.post(query, {"input": {"observations": [observation]}}).json()["data"]
    (result,) = data["submitLinks"]["results"]
    assert result["profile"]["status"] == "ACTIVE"
    assert result["profile"]["identifiers"]["edges"] == [{"node": {"value": email["value"]}}]
    assert {"name": "n", "value": [1, {"two": None}]} in result["profile"]["goldenRecord"]
    assert result["changes"][0]["at"] == result["profile"]["createdAt"]


def test_lean_resolve_answers_as_graphql_does(service: Service) -> None:
    email = an_email()
    service.submit(seen(email))
    asked = [email, an("cookie_id"), an("email", "no address"), an("user_id", "null")]
    lean = service.http.post("/v1/resolve", json={"identifiers": asked})
    assert lean.status_code == 200
    graphql_found = service.resolve(*asked)
    assert [
        {
            "identifier": {"namespace": found["namespace"], "value": found["value"]},
            "status": found["status"],
            "profile": found["profileId"] and {"id": found["profileId"]},
        }
        for found in lean.json()["results"]
    ] == graphql_found
    assert [found["status"] for found in graphql_found] == ["RESOLVED", "UNKNOWN", "INVALID", "BLOCKED"]


def test_a_record_is_answered_as_it_was(service: Service) -> None:
    """Its traits of then, also where a newer row replaced them or an older one came late."""
    card = an("crm_id")

    def said(plan: str, day: int) -> dict[str, Any]:
        when = f"2026-03-{day:02}T10:00:00Z"
        return seen(card, source="crm", recordId=card["value"], observedAt=when, traits={"plan": plan})

    moments: list[str] = []
    for plan, day in (("free", 5), ("pro", 7), ("trial", 1)):
        service.submit(said(plan, day))
        moments.append(datetime.now(UTC).isoformat())
    service.submit(said("team", 9))

    def plan_of(at: str | None) -> tuple[Any, Any]:
        profile = service.run("Customer360", {"identifier": card, "asOf": at})["profileByIdentifier"]
        (record,) = [edge["node"] for edge in profile["records"]["edges"]]
        golden = {trait["name"]: trait["value"] for trait in profile["goldenRecord"]}
        return golden["plan"], record["traits"]["plan"]

    assert [plan_of(at) for at in moments] == [("free", "free"), ("pro", "pro"), ("pro", "pro")]
    assert plan_of(None) == ("team", "team")
