"""What stewards ask for through the contract's operations, on the real database."""

from typing import Any

import pytest

from .live import Service, an, an_email, seen

WHY = {"reason": "they told us"}


def done(service: Service, operation: str, **input: Any) -> dict[str, Any]:
    payload = payload_of(service, operation, **input)
    assert payload["outcome"]["__typename"] == "ProfileChanged", payload
    return payload["outcome"]


def refused(service: Service, operation: str, **input: Any) -> tuple[str, str]:
    payload = payload_of(service, operation, **input)
    assert (payload["consistencyToken"], payload["outcome"]["__typename"]) == ("", "ChangeRefused")
    return payload["outcome"]["code"], payload["outcome"]["message"]


def payload_of(service: Service, operation: str, **input: Any) -> dict[str, Any]:
    return service.run(operation, {"input": WHY | input})[operation[0].lower() + operation[1:]]


def kinds(outcome: dict[str, Any]) -> list[str]:
    return sorted(change["kind"] for change in outcome["changes"])


def lineage(service: Service, id: str) -> list[dict[str, Any]]:
    profile = service.run("MergeLineage", {"profileId": id})["profile"]
    return [edge["node"] for edge in profile["lineage"]["edges"]]


def lineage_of(service: Service, identifier: dict[str, str]) -> list[dict[str, Any]]:
    return lineage(service, service.profile_of(identifier))


def test_a_wrong_merge_is_undone_for_good_and_the_undo_can_be_undone(service: Service) -> None:
    ada, bob, tablet = an("crm_id"), an_email(), an("device_id")
    (first,), (second,) = service.submit(seen(ada)), service.submit(seen(bob, tablet, traits={"name": "Bob"}))
    (merged,) = service.submit(seen(ada, tablet, source="shop"))
    ((merge),) = merged["changes"]
    a, b = first["profile"]["id"], second["profile"]["id"]
    assert (merge["kind"], service.profile_of(bob)) == ("MERGED", a)

    foretold = payload_of(service, "UndoChange", changeId=merge["id"], dryRun=True)
    assert (foretold["consistencyToken"], service.profile_of(bob)) == ("", a)
    undone = done(service, "UndoChange", changeId=merge["id"])
    assert kinds(undone) == kinds(foretold["outcome"]) == ["CANNOT_LINK_SET", "SPLIT"]
    assert (undone["profile"]["id"], undone["profile"]["size"]) == (a, 1)
    (split,) = [change for change in undone["changes"] if change["kind"] == "SPLIT"]
    assert {(p["profileId"], p["role"]) for p in split["participants"]} == {(a, "SOURCE"), (b, "RESTORED")}
    assert [service.profile_of(one) for one in (ada, bob, tablet)] == [a, b, b]
    assert service.run("ProfileById", {"id": b})["profile"]["redirectedFrom"] is None
    assert lineage(service, b)[0]["cause"] == {"__typename": "StewardCause", "actor": "local", "reason": WHY["reason"]}

    # The same evidence again is kept, held back, and it is said why.
    (again,) = service.submit(seen(ada, tablet, source="shop"))
    assert [link["code"] for link in again["refusedLinks"]] == ["CANNOT_LINK"]
    assert (again["changes"], service.profile_of(bob)) == ([], b)
    why = service.run("ExplainConnection", {"from": ada, "to": bob})["explainConnection"]
    assert (why["connected"], {one["code"] for one in why["refused"]}) == (False, {"CANNOT_LINK"})
    query = """query($from: IdentifierInput!, $to: IdentifierInput!) {
        explainConnection(from: $from, to: $to) { refused { cannotLink { actor reason } } } }"""
    told = service.post(query, {"from": ada, "to": bob}).json()["data"]["explainConnection"]["refused"]
    assert {"actor": "local", "reason": WHY["reason"]} in [one["cannotLink"] for one in told]

    assert refused(service, "UndoChange", changeId=merge["id"])[0] == "ALREADY_UNDONE"
    redone = done(service, "UndoChange", changeId=split["id"])
    assert kinds(redone) == ["CANNOT_LINK_REMOVED", "MERGED"]
    assert [service.profile_of(one) for one in (ada, bob, tablet)] == [a, a, a]
    assert refused(service, "UndoChange", changeId=split["id"])[0] == "ALREADY_UNDONE"


def test_a_sold_phone_is_split_off(service: Service) -> None:
    user, phone, email = an("user_id"), an("device_id"), an_email()
    (told,) = service.submit(seen(user, phone, email))
    id, version = told["profile"]["id"], told["profile"]["version"]
    code, message = refused(service, "SplitProfile", profileId=id, identifiers=[phone], expectedVersion=version + 1)
    assert code == "CONFLICT"
    assert str(version) in message
    split = done(service, "SplitProfile", profileId=id, identifiers=[phone], expectedVersion=version)
    assert (split["profile"]["id"], split["profile"]["size"], kinds(split)) == (id, 2, ["CANNOT_LINK_SET", "SPLIT"])
    assert service.profile_of(phone) != id
    (new,) = service.submit(seen(an("user_id"), phone))
    assert new["profile"]["id"] not in (id, None)
    assert refused(service, "SplitProfile", profileId=id, identifiers=[phone])[0] == "NOT_A_MEMBER"
    assert refused(service, "SplitProfile", profileId=id, identifiers=[user, email])[0] == "NOTHING_TO_SPLIT"
    assert refused(service, "SplitProfile", profileId=id, identifiers=[an("email", "x")])[0] == "INVALID_IDENTIFIER"
    assert refused(service, "SplitProfile", profileId="nobody", identifiers=[phone])[0] == "UNKNOWN_PROFILE"


def test_two_profiles_are_merged_by_a_persons_word(service: Service) -> None:
    one, other, third = an_email(), an_email(), an("phone", "+31 6 2345 6789")
    ids = [service.submit(seen(key))[0]["profile"]["id"] for key in (one, other, third)]
    merged = done(service, "MergeProfiles", profileIds=ids)
    assert (merged["profile"]["id"], merged["profile"]["size"], kinds(merged)) == (ids[0], 3, ["MERGED", "MERGED"])
    (link, *_) = service.run("ExplainConnection", {"from": one, "to": other})["explainConnection"]["path"]
    assert (link["kind"], link["source"]) == ("ASSERTED", "local")
    assert refused(service, "MergeProfiles", profileIds=ids)[0] == "NOTHING_TO_MERGE"
    (change,) = [c for c in merged["changes"] if {"profileId": ids[2], "role": "MERGED"} in c["participants"]]
    undone = done(service, "UndoChange", changeId=change["id"])
    assert [service.profile_of(key) for key in (one, other, third)] == [ids[0], ids[0], ids[2]]
    assert kinds(undone) == ["CANNOT_LINK_SET", "SPLIT"]
    code, message = refused(service, "MergeProfiles", profileIds=[ids[0], ids[2]])
    assert code == "CANNOT_LINK"
    assert "undo" in message


def test_a_unique_namespace_stands_in_the_way_of_a_merge(service: Service) -> None:
    one, other = an("user_id"), an("user_id")
    ids = [service.submit(seen(key))[0]["profile"]["id"] for key in (one, other)]
    assert refused(service, "MergeProfiles", profileIds=ids)[0] == "UNIQUE_NAMESPACE"


def test_father_and_son_are_kept_apart_and_let_meet_again(service: Service) -> None:
    father, son, home = an("crm_id"), an("loyalty_id"), an_email()
    service.submit(seen(father, home), seen(son, home, observedAt="2026-02-01T10:00:00Z"))
    id = service.profile_of(father)
    assert service.profile_of(son) == id
    apart = done(service, "SetCannotLink", a=father, b=son)
    assert kinds(apart) == ["CANNOT_LINK_SET", "SPLIT"]
    assert (service.profile_of(father), service.profile_of(home)) == (id, id)
    assert service.profile_of(son) != id
    assert refused(service, "SetCannotLink", a=son, b=father)[0] == "ALREADY_APART"
    met = done(service, "RemoveCannotLink", a=son, b=father)
    assert (kinds(met), service.profile_of(son)) == (["CANNOT_LINK_REMOVED", "MERGED"], id)
    assert refused(service, "RemoveCannotLink", a=son, b=father)[0] == "NO_CANNOT_LINK"


def test_whom_a_person_made_one_are_kept_apart_by_undoing_that(service: Service) -> None:
    """Two others were each made one with the first, so they are asserted to be one as well."""
    keys = [an("crm_id"), an_email(), an("loyalty_id")]
    ids = [answer["profile"]["id"] for answer in service.submit(*(seen(key) for key in keys))]
    changes = done(service, "MergeProfiles", profileIds=ids)["changes"]
    by_loser = {p["profileId"]: c["id"] for c in changes for p in c["participants"] if p["role"] == "MERGED"}
    elder = service.submit(seen(an_email()))[0]["profile"]["id"]
    done(service, "MergeProfiles", profileIds=[elder, ids[0]])
    code, message = refused(service, "SetCannotLink", a=keys[0], b=keys[1])
    assert code == "ASSERTED"
    assert by_loser[ids[1]] in message
    code, message = refused(service, "SetCannotLink", a=keys[1], b=keys[2])
    assert code == "ASSERTED"
    assert any(change in message for change in by_loser.values())
    assert len({service.profile_of(key) for key in keys}) == 1
    done(service, "UndoChange", changeId=by_loser[ids[1]])
    assert service.profile_of(keys[0]) == service.profile_of(keys[2]) != service.profile_of(keys[1])
    assert refused(service, "SetCannotLink", a=keys[0], b=keys[1])[0] == "ALREADY_APART"


HELD_BACK = """mutation($input: %sInput!) { done: %s(input: $input) { outcome { ... on ProfileChanged {
    changes { kind } heldBack { from { value } to { value } code message } } } } }"""


@pytest.mark.parametrize("act", ["UndoChange", "RemoveCannotLink"])
def test_what_a_guard_rail_holds_back_where_two_may_meet_again_is_named(service: Service, act: str) -> None:
    ada, bob, tablet = an("crm_id"), an_email(), an("device_id")
    service.submit(seen(ada, tablet), seen(bob, tablet, observedAt="2026-03-02T10:00:00Z"))
    apart = done(service, "SetCannotLink", a=ada, b=bob)
    card = an("crm_id")
    service.submit(seen(bob, card, observedAt="2026-03-03T10:00:00Z"))
    given = {"a": ada, "b": bob} if act == "RemoveCannotLink" else {"changeId": apart["changes"][0]["id"]}
    query = HELD_BACK % (act, act[0].lower() + act[1:])
    outcome = service.post(query, {"input": WHY | given}).json()["data"]["done"]["outcome"]
    assert outcome["changes"] == [{"kind": "CANNOT_LINK_REMOVED"}]
    (held,) = outcome["heldBack"]
    assert {held["from"]["value"], held["to"]["value"]} == {bob["value"], tablet["value"]}
    assert held["code"] == "UNIQUE_NAMESPACE"
    assert card["value"] in held["message"]
    assert service.profile_of(ada) != service.profile_of(bob)


@pytest.mark.parametrize(
    ("operation", "input", "code"),
    [
        ("UndoChange", {"changeId": "nothing"}, "UNKNOWN_CHANGE"),
        ("UndoChange", {"changeId": "created-nonsense"}, "UNKNOWN_CHANGE"),
        ("MergeProfiles", {"profileIds": ["nobody", "no one"]}, "UNKNOWN_PROFILE"),
        ("MergeProfiles", {"profileIds": ["nobody"]}, "INVALID_PROFILES"),
        ("SetCannotLink", {"a": an("crm_id", "42"), "b": an("crm_id", "42")}, "SAME_IDENTIFIER"),
        ("SetCannotLink", {"a": an("crm_id"), "b": an("crm_id")}, "UNKNOWN_IDENTIFIER"),
        ("SetCannotLink", {"a": an("no space!"), "b": an("crm_id")}, "INVALID_IDENTIFIER"),
        ("RemoveCannotLink", {"a": an("email", "x"), "b": an("crm_id")}, "INVALID_IDENTIFIER"),
    ],
)
def test_what_cannot_be_done_is_a_value(service: Service, operation: str, input: dict[str, Any], code: str) -> None:
    found, message = refused(service, operation, **input)
    assert (found, bool(message)) == (code, True)


def test_a_creation_is_not_undone_but_retracted(service: Service) -> None:
    (told,) = service.submit(seen(an_email()))
    code, message = refused(service, "UndoChange", changeId=told["changes"][0]["id"])
    assert code == "NOT_UNDOABLE"
    assert "retract" in message


def test_every_act_needs_a_reason(service: Service) -> None:
    answer = service.post(
        "mutation($i: UndoChangeInput!) { undoChange(input: $i) { consistencyToken } }",
        {"i": {"changeId": "x", "reason": "  "}},
    ).json()
    assert "reason" in answer["errors"][0]["message"]


MERGES = """mutation($input: UndoMergesInput!) { undoMerges(input: $input) {
    remaining endCursor results { changeId outcome { __typename ... on ChangeRefused { code } } } } }"""


def test_everything_that_a_bad_source_merged_is_undone_page_by_page(service: Service) -> None:
    source, other = an("x")["value"], an("x")["value"]
    pairs = [(an_email(), an("phone", f"+31 6 1{n}34 5678")) for n in range(3)]
    kept = (an_email(), an_email())
    for one, two in (*pairs, kept):
        service.submit(seen(one), seen(two))
    service.submit(*(seen(*pair, source=source) for pair in pairs), seen(*kept, source=other))

    def undo(**more: Any) -> dict[str, Any]:
        input = WHY | {"merges": {"source": source}, "first": 2} | more
        return service.post(MERGES, {"input": input}).json()["data"]["undoMerges"]

    preview = undo(dryRun=True)
    assert (len(preview["results"]), preview["remaining"]) == (2, 1)
    assert service.profile_of(pairs[0][0]) == service.profile_of(pairs[0][1])
    first = undo()
    assert [one["outcome"]["__typename"] for one in first["results"]] == ["ProfileChanged"] * 2
    assert [one["changeId"] for one in first["results"]] == [one["changeId"] for one in preview["results"]]
    last = undo(after=first["endCursor"])
    assert (len(last["results"]), last["remaining"]) == (1, 0)
    assert undo() == {"remaining": 0, "endCursor": None, "results": []}
    assert all(service.profile_of(one) != service.profile_of(two) for one, two in pairs)
    assert service.profile_of(kept[0]) == service.profile_of(kept[1])


def merges_of(service: Service, **merges: Any) -> set[str]:
    """The changes that `undoMerges` would undo."""
    given = {"input": WHY | {"merges": merges, "first": 100, "dryRun": True}}
    return {one["changeId"] for one in service.post(MERGES, given).json()["data"]["undoMerges"]["results"]}


def test_merges_are_chosen_by_device_by_time_by_source_and_by_all_of_them(service: Service) -> None:
    """Two sources join people at two devices each, one after the other."""
    sources, tablets = [an("x")["value"] for _ in range(2)], [an("device_id") for _ in range(2)]
    made: dict[tuple[int, int], str] = {}
    times: list[str] = []
    for s, source in enumerate(sources):
        for t, tablet in enumerate(tablets):
            email = an_email()
            service.submit(seen(email), seen(tablet))
            (answer,) = service.submit(seen(email, tablet, source=source))
            made[s, t] = answer["changes"][0]["id"]
            (lineage, *_) = lineage_of(service, email)
            times.append(lineage["at"])
    assert merges_of(service, source=sources[0]) == {made[0, 0], made[0, 1]}
    assert merges_of(service, identifier=tablets[1]) == {made[0, 1], made[1, 1]}
    assert merges_of(service, **{"from": times[1], "to": times[3]}) == {made[0, 1], made[1, 0]}
    assert merges_of(service, source=sources[1], identifier=tablets[0]) == {made[1, 0]}
    assert merges_of(service, source=sources[1], to=times[2]) == set()


@pytest.mark.parametrize(
    ("merges", "field"),
    [({"from": "yesterday"}, "merges.from"), ({"identifier": an("email", "x")}, "merges.identifier.value")],
)
def test_an_unusable_choice_of_merges_names_its_field(service: Service, merges: dict[str, Any], field: str) -> None:
    (error,) = service.post(MERGES, {"input": WHY | {"merges": merges}}).json()["errors"]
    assert field in error["message"]


def test_the_tree_of_merges_has_every_ancestor_and_forgets_what_was_undone(service: Service) -> None:
    keys = [an_email() for _ in range(4)]
    ids = [service.submit(seen(key))[0]["profile"]["id"] for key in keys]
    (low,) = service.submit(seen(keys[2], keys[3]))
    service.submit(seen(keys[0], keys[1]), seen(keys[0], keys[2]))
    query = "query($id: ID!) { profile(id: $id) { mergeTree { profileId into moved change { id kind } } } }"

    def tree() -> set[tuple[str, str, int]]:
        nodes = service.post(query, {"id": ids[3]}).json()["data"]["profile"]["mergeTree"]
        return {(n["profileId"], n["into"], n["moved"]) for n in nodes}

    assert tree() == {(ids[1], ids[0], 1), (ids[2], ids[0], 2), (ids[3], ids[2], 1)}
    done(service, "UndoChange", changeId=low["changes"][0]["id"])
    assert tree() == set()


WORD = """mutation($input: OverrideTraitInput!) { overrideTrait(input: $input) { outcome { ... on ProfileChanged {
    profile { goldenRecord { name value observedAt rule reason } }
    changes { id kind at participants { profileId role } } } } } }"""
SHOWN = """query($id: ID!, $at: DateTime) { profile(id: $id, asOf: $at) {
    goldenRecord { name value observedAt rule reason } } }"""


def test_a_word_on_a_trait_is_a_change_that_is_told_and_taken_back(service: Service) -> None:
    mail = an_email()
    (told,) = service.submit(seen(mail, traits={"city": "Delft"}))
    id = told["profile"]["id"]

    def say(city: str) -> dict[str, Any]:
        given = {"profileId": id, "name": "city", "value": city, "reason": f"moved to {city}"}
        return service.post(WORD, {"input": given}).json()["data"]["overrideTrait"]["outcome"]

    def shown(at: str | None = None) -> dict[str, Any]:
        golden = service.post(SHOWN, {"id": id, "at": at}).json()["data"]["profile"]["goldenRecord"]
        return next(trait for trait in golden if trait["name"] == "city")

    def undo(change: str) -> dict[str, Any]:
        return service.run("UndoChange", {"input": {"changeId": change, "reason": "no"}})["undoChange"]["outcome"]

    records_say = shown()
    (first,) = say("Leiden")["changes"]
    assert (first["kind"], first["participants"]) == ("OVERRIDE_SET", [{"profileId": id, "role": "PARTY"}])
    leiden = shown()
    (second,) = say("Utrecht")["changes"]
    utrecht = shown()
    newest, older, *_ = (
        edge["node"] for edge in service.run("MergeLineage", {"profileId": id})["profile"]["lineage"]["edges"]
    )
    assert ([newest["id"], older["id"]], newest["cause"]) == (
        [second["id"], first["id"]],
        {"__typename": "StewardCause", "actor": "local", "reason": "moved to Utrecht"},
    )
    assert undo(first["id"])["code"] == "SUPERSEDED"
    assert second["id"] in undo(first["id"])["message"]
    (back,) = undo(second["id"])["changes"]
    assert (back["kind"], shown()) == ("OVERRIDE_SET", leiden)
    assert undo(second["id"])["code"] == "ALREADY_UNDONE"
    (again,) = undo(back["id"])["changes"]
    assert (shown(), shown(second["at"]), shown(first["at"])) == (utrecht, utrecht, leiden)
    undo(again["id"])
    assert undo(first["id"])["code"] == "SUPERSEDED"
    remove = """mutation($input: RemoveOverrideInput!) { removeOverride(input: $input) { outcome {
        ... on ProfileChanged { changes { id kind } } } } }"""
    given = {"profileId": id, "name": "city", "reason": "who knows"}
    (removed,) = service.post(remove, {"input": given}).json()["data"]["removeOverride"]["outcome"]["changes"]
    assert (removed["kind"], shown()) == ("OVERRIDE_REMOVED", records_say)
    undo(removed["id"])
    assert shown() == leiden
    assert undo(removed["id"])["code"] == "ALREADY_UNDONE"
