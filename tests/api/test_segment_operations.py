"""Segments as clients meet them: the contract's example, live membership, and what is said of a rule that is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from .live import Service, an, an_email, seen


def now(days: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def define(service: Service, name: str, rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {"input": {"name": name, "description": "of a test", "rule": rule, "dryRun": False} | more}
    return service.run("DefineSegment", given)["defineSegment"]["outcome"]


def defined(service: Service, name: str, rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    outcome = define(service, name, rule, **more)
    assert outcome["__typename"] == "SegmentDefined", outcome
    return outcome["segment"]


def members(service: Service, name: str) -> list[str]:
    found = service.run("SegmentMembers", {"name": name})["segment"]
    edges = found["members"]["edges"]
    assert found["size"] == found["members"]["totalCount"] == len(edges)
    assert all(edge["enteredAt"] for edge in edges)
    return [edge["node"]["id"] for edge in edges]


def unique(name: str) -> str:
    return f"{name}_{uuid4().hex[:8]}"


def trait(name: str, **tests: Any) -> dict[str, Any]:
    return {"trait": {"name": name} | tests}


def test_the_example_of_the_contract_and_a_person_who_enters_and_leaves(service: Service) -> None:
    here, staff, name = unique("here"), unique("staff"), unique("dutch_multi_device")
    email = an_email()
    observation = seen(
        email,
        an("device_id"),
        an("idfa"),
        observedAt=now(),
        source="crm",
        recordId=here,
        traits={"country": "NL", "plan": "pro", "batch": here},
    )
    (told,) = service.submit(observation)
    id = told["profile"]["id"]
    defined(service, staff, {"all": [trait("batch", equals=here), trait("staff", equals=True)]})
    rule = {
        "all": [
            trait("country", equals="NL"),
            trait("batch", equals=here),
            {"any": [trait("lifetime_value", atLeast=500), trait("plan", **{"in": ["pro", "team"]})]},
            {"identifiers": {"namespaceClass": "DEVICE", "atLeast": 3}},
            {"seen": {"withinDays": 30}},
            {"not": {"segment": {"name": staff}}},
        ]
    }
    assert defined(service, name, rule) == {"name": name, "version": 1, "size": 0}
    service.submit(seen(email, an("gaid"), observedAt=now()))
    assert members(service, name) == [id]
    profile = service.run("Customer360", {"identifier": email})["profileByIdentifier"]
    assert profile["segments"] == [{"name": name}]

    preview = service.run("PreviewSegment", {"rule": rule})["previewSegment"]
    assert (preview["size"], [one["id"] for one in preview["sample"]]) == (1, [id])
    assert {"name": "plan", "value": "pro"} in preview["sample"][0]["goldenRecord"]

    explained = service.run("ExplainMembership", {"segment": name, "profileId": id})["explainMembership"]
    assert explained["isMember"] is True
    assert explained["turnsAt"] > now(-29)
    found = {one["condition"]: (one["holds"], one["actual"]) for one in explained["conditions"]}
    assert found['country equals "NL"'] == (True, "NL")
    assert found["lifetime_value atLeast 500.0"] == (False, None)
    assert found["identifiers of class DEVICE: 3 at least"] == (True, 3)
    assert found[f"in segment {staff}"] == (False, None)

    service.submit(seen(email, source="crm", recordId=here, observedAt=now(), traits={"batch": here, "staff": True}))
    assert (members(service, name), members(service, staff)) == ([], [id])
    query = """query($name: String!) { segment(name: $name) { changes(first: 5) {
        edges { node { kind profileId } } pageInfo { hasNextPage } } } }"""
    changes = service.post(query, {"name": name}).json()["data"]["segment"]["changes"]
    assert [edge["node"] for edge in changes["edges"]] == [
        {"kind": "LEFT", "profileId": id},
        {"kind": "ENTERED", "profileId": id},
    ]


def test_a_merge_takes_its_members_along(service: Service) -> None:
    name, mark = unique("merged"), unique("mark")
    left, right = an_email(), an("phone", "+31 20 765 4321")
    service.submit(seen(left, traits={"mark": mark, "tier": "gold"}), seen(right, traits={"mark": mark}))
    both = {service.profile_of(left), service.profile_of(right)}
    defined(service, name, {"all": [trait("mark", equals=mark)]})
    gold = unique("gold")
    defined(service, gold, {"all": [{"segment": {"name": name}}, trait("tier", equals="gold")]})
    assert set(members(service, name)) == both
    service.submit(seen(left, right))
    survivor = service.profile_of(left)
    assert members(service, name) == members(service, gold) == [survivor]


def test_definitions_have_versions_and_a_name_is_not_taken_by_accident(service: Service) -> None:
    name, mark = unique("versions"), unique("mark")
    service.submit(seen(an_email(), traits={"mark": mark, "n": 1}), seen(an_email(), traits={"mark": mark, "n": 2}))
    first = {"all": [trait("mark", equals=mark), trait("n", atLeast=2)]}
    second = {"all": [trait("mark", equals=mark), trait("n", atLeast=1)]}
    assert defined(service, name, first, dryRun=True)["size"] == 1
    assert service.run("SegmentMembers", {"name": name})["segment"] is None
    assert defined(service, name, first) == defined(service, name, first) == {"name": name, "version": 1, "size": 1}
    taken = define(service, name, second)
    assert (taken["code"], taken["path"]) == ("NAME_TAKEN", ["name"])
    assert define(service, name, second, expectedVersion=3)["code"] == "CONFLICT"
    assert defined(service, name, second, expectedVersion=1) == {"name": name, "version": 2, "size": 2}

    def deleted(name: str, **more: Any) -> dict[str, Any]:
        return service.run("DeleteSegment", {"input": {"name": name} | more})["deleteSegment"]["outcome"]

    above = unique("above")
    defined(service, above, {"segment": {"name": name}})
    assert deleted(name)["code"] == "SEGMENT_IN_USE"
    assert deleted(above, dryRun=True) == {"__typename": "SegmentDeleted", "name": above}
    assert deleted(above) == {"__typename": "SegmentDeleted", "name": above}
    assert deleted(name)["__typename"] == "SegmentDeleted"
    assert deleted(name)["code"] == "UNKNOWN_SEGMENT"
    assert defined(service, name, first)["version"] == 3


NESTED: dict[str, Any] = {"trait": {"name": "x", "exists": True}}
for _ in range(6):
    NESTED = {"not": NESTED}


@pytest.mark.parametrize(
    ("rule", "code", "path"),
    [
        ({"all": []}, "INVALID_RULE", ["rule", "all"]),
        ({"trait": {"name": "x"}}, "INVALID_RULE", ["rule", "trait"]),
        ({"trait": {"name": "x`}) DETACH", "exists": True}}, "INVALID_NAME", ["rule", "trait", "name"]),
        ({"any": [trait("x", equals=[1])]}, "TYPE_MISMATCH", ["rule", "any", "0", "trait", "equals"]),
        ({"not": trait("x", before="soon")}, "TYPE_MISMATCH", ["rule", "not", "trait", "before"]),
        (trait("x", withinDays=-1), "TYPE_MISMATCH", ["rule", "trait", "withinDays"]),
        (trait("x", equals="y" * 1001), "TYPE_MISMATCH", ["rule", "trait", "equals"]),
        ({"segment": {"name": "nobody's"}}, "UNKNOWN_SEGMENT", ["rule", "segment", "name"]),
        ({"segment": {"name": "itself"}}, "SEGMENT_CYCLE", ["rule", "segment", "name"]),
        (NESTED, "RULE_TOO_DEEP", ["rule", *["not"] * 6]),
        ({"any": [trait("x", equals=n) for n in range(101)]}, "RULE_TOO_LARGE", ["rule"]),
        ({"identifiers": {"namespace": "email", "namespaceClass": "EMAIL"}}, "INVALID_RULE", ["rule", "identifiers"]),
    ],
)
def test_what_is_wrong_with_a_rule_is_a_value(
    service: Service, rule: dict[str, Any], code: str, path: list[str]
) -> None:
    outcome = define(service, "itself", rule)
    assert (outcome["__typename"], outcome["code"], outcome["path"]) == ("SegmentRejected", code, path)
    assert outcome["message"]
    assert service.run("SegmentMembers", {"name": "itself"})["segment"] is None


def test_what_no_rule_can_say_is_refused_by_the_schema(service: Service) -> None:
    operation = """query($rule: SegmentRuleInput!) { previewSegment(rule: $rule) { size } }"""
    for rule in ({}, {"trait": {"name": "x", "exists": True}, "seen": {"withinDays": 1}}, {"regex": "(a+)+"}):
        errors = service.post(operation, {"rule": rule}).json()["errors"]
        assert errors[0]["extensions"]["code"] == "BAD_INPUT"
    errors = service.post(operation, {"rule": {"all": []}}).json()["errors"]
    assert errors[0]["extensions"]["code"] == "INVALID_RULE"
    assert errors[0]["message"].startswith("rule.all: ")


def test_a_preview_tells_an_operator_that_no_value_fits(service: Service) -> None:
    name = unique("word")
    service.submit(seen(an_email(), traits={name: "pro"}))
    rule = {"not": trait(name, atLeast=1)}
    rejected = define(service, unique("never"), rule)
    operation = """query($rule: SegmentRuleInput!) { previewSegment(rule: $rule) { size } }"""
    (error,) = service.post(operation, {"rule": rule}).json()["errors"]
    assert error["extensions"]["code"] == rejected["code"] == "TYPE_MISMATCH"
    assert error["message"] == f"{'.'.join(rejected['path'])}: {rejected['message']}"


OVERRIDE = """mutation($input: OverrideTraitInput!) { overrideTrait(input: $input) { consistencyToken outcome {
    ... on ProfileChanged { profile { goldenRecord { name value source rule reason alternatives { value } } } }
    ... on ChangeRefused { code message } } } }"""
REMOVE = """mutation($input: RemoveOverrideInput!) { removeOverride(input: $input) { outcome {
    ... on ProfileChanged { profile { id } } ... on ChangeRefused { code message } } } }"""


def test_a_persons_word_comes_first_goes_along_and_is_taken_back(service: Service) -> None:
    name, mark, email, phone = unique("word"), unique("mark"), an_email(), an("phone", "+31 20 555 1234")
    service.submit(seen(email, traits={"mark": mark, "city": "Delft"}), seen(phone, traits={"mark": mark}))
    defined(service, name, {"all": [trait("mark", equals=mark), trait("city", equals="Den Haag")]})
    id, version = service.profile_of(email), service.run("Customer360", {"identifier": email})["profileByIdentifier"]
    given = {"profileId": id, "name": "city", "value": "Den Haag", "reason": "she moved"}

    def override(**more: Any) -> dict[str, Any]:
        return service.post(OVERRIDE, {"input": given | more}).json()["data"]["overrideTrait"]

    assert override(dryRun=True)["consistencyToken"] == ""
    assert override(expectedVersion=version["version"] + 1)["outcome"]["code"] == "CONFLICT"
    assert members(service, name) == []
    golden = {t["name"]: t for t in override(expectedVersion=version["version"])["outcome"]["profile"]["goldenRecord"]}
    assert golden["city"] == {
        "name": "city",
        "value": "Den Haag",
        "source": "steward",
        "rule": "override",
        "reason": "she moved",
        "alternatives": [{"value": "Delft"}],
    }
    assert members(service, name) == [id]
    service.submit(seen(email, phone, observedAt=now(), source="crm", traits={"mark": mark, "city": "Leiden"}))
    merged = service.profile_of(phone)
    assert members(service, name) == [merged]
    gone = {"profileId": merged, "name": "city", "reason": "she moved back"}
    removed = service.post(REMOVE, {"input": gone}).json()["data"]["removeOverride"]["outcome"]
    assert removed == {"profile": {"id": merged}}
    assert members(service, name) == []
    profile = service.run("Customer360", {"identifier": email})["profileByIdentifier"]
    assert {"city": "Leiden"}.items() <= {t["name"]: t["value"] for t in profile["goldenRecord"]}.items()
    again = service.post(REMOVE, {"input": gone}).json()["data"]["removeOverride"]["outcome"]
    assert again["code"] == "NO_OVERRIDE"


@pytest.mark.parametrize("size", [20_000, 1 << 20])
def test_a_trait_that_is_a_document_is_refused_by_itself(service: Service, size: int) -> None:
    large, other = seen(an_email(), traits={"cv": "x" * size, "city": "Leiden"}), seen(an_email())
    refused, taken = service.submit(large, other)
    assert (refused["code"], refused["path"]) == ("PAYLOAD_TOO_LARGE", ["traits", "cv"])
    assert taken["__typename"] == "ObservationAccepted"


def test_a_definition_hands_out_a_token_and_every_version_is_kept(service: Service) -> None:
    name, mark, email = unique("told"), unique("mark"), an_email()
    service.submit(seen(email, traits={"mark": mark}))
    text = """mutation($input: DefineSegmentInput!) { defineSegment(input: $input) { consistencyToken outcome {
        ... on SegmentDefined { segment { size } } ... on SegmentRejected { code } } } }"""

    def send(rule: dict[str, Any], **more: Any) -> tuple[str, dict[str, Any]]:
        given = {"name": name, "description": "of a test", "rule": rule, **more}
        payload = service.post(text, {"input": given}).json()["data"]["defineSegment"]
        return payload["consistencyToken"], payload["outcome"]

    assert send(trait("mark", equals=mark), dryRun=True) == ("", {"segment": {"size": 1}})
    token, _ = send(trait("mark", equals=mark))
    query = """query($name: String!) { segment(name: $name) { size versions { version rule description definedBy
        definedAt } } }"""
    assert service.post(query, {"name": name}, X_Consistency_Token=token).json()["data"]["segment"]["size"] == 1
    assert send(trait("mark", equals="x")) == ("", {"code": "NAME_TAKEN"})
    token, outcome = send(trait("mark", equals="x"), expectedVersion=1)
    assert (bool(token), outcome) == (True, {"segment": {"size": 0}})
    versions = service.post(query, {"name": name}).json()["data"]["segment"]["versions"]
    assert [(one["version"], one["rule"]["trait"]["equals"]) for one in versions] == [(2, "x"), (1, mark)]
    assert all(one["definedBy"] and one["definedAt"] and one["description"] == "of a test" for one in versions)
    deleting = "mutation($n: String!) { deleteSegment(input: {name: $n}) { consistencyToken outcome { __typename } } }"
    told = [service.post(deleting, {"n": name}).json()["data"]["deleteSegment"] for _ in range(2)]
    assert [(bool(one["consistencyToken"]), one["outcome"]["__typename"]) for one in told] == [
        (True, "SegmentDeleted"),
        (False, "SegmentRejected"),
    ]


SUBMIT = """mutation($input: SubmitLinksInput!) { submitLinks(input: $input) { results {
    ... on ObservationAccepted { warnings { code message path } }
    ... on ObservationRejected { code message path } } } }"""
DEFINE = """mutation($input: DefineSegmentInput!) { defineSegment(input: $input) { outcome {
    ... on SegmentDefined { remarks { code message path } }
    ... on SegmentRejected { code message path } } } }"""
PATTERNS = {"EXPLODING_PATTERN": "(a+)+", "INVALID_PATTERN": "("}
SIMULATE = """query($input: SimulateInput!) { simulate(input: $input) {
    ... on SimulationRefused { code message path } } }"""
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "UNKNOWN_TRAIT": ({"trait": {"name": "nobody_has_it", "exists": True}}, ["rule", "trait", "name"]),
    "TYPE_MISMATCH": ({"trait": {"name": "first_seen", "atLeast": 1}}, ["rule", "trait", "atLeast"]),
    "SEGMENT_CYCLE": ({"not": {"segment": {"name": "taken"}}}, ["rule", "not", "segment", "name"]),
    "NAME_TAKEN": ({"seen": {"withinDays": 2}}, ["name"]),
}


def test_whatever_is_wrong_is_a_value_with_code_path_and_sentence(service: Service) -> None:
    """What a rule, a rules file or the traits of an observation can be wrong in, each as clients get it."""
    define(service, "taken", {"seen": {"withinDays": 1}})
    found: dict[str, list[dict[str, Any]]] = {}
    for code, (rule, _) in REFUSED.items():
        version = {} if code == "NAME_TAKEN" else {"expectedVersion": 1}
        given = {"name": "taken", "rule": rule, "dryRun": True, **version}
        outcome = service.post(DEFINE, {"input": given}).json()["data"]["defineSegment"]["outcome"]
        found[code] = outcome.get("remarks", [outcome])
    for code, pattern in PATTERNS.items():
        rules = f"[traits.a]\nrewrite = {{ '{pattern}' = 'x' }}"
        found[code] = [service.post(SIMULATE, {"input": {"rules": rules}}).json()["data"]["simulate"]]
    (large,) = service.submit(seen(an_email(), traits={"cv": "x" * (1 << 20)}))
    found[large["code"]] = [large]
    source, warned = unique("many"), list[dict[str, Any]]()
    for start in range(0, 10_000, 2_500):
        one = seen(an_email(), source=source, traits={f"n{n}": 1 for n in range(start, start + 2_500)})
        payload = service.post(SUBMIT, {"input": {"observations": [one]}}).json()["data"]["submitLinks"]
        warned += payload["results"][0]["warnings"]
    found["TOO_MANY_TRAIT_NAMES"] = warned[:1]
    paths = {code: path for code, (_, path) in REFUSED.items()}
    paths |= {code: ["rules", f"traits.a.rewrite.{pattern}"] for code, pattern in PATTERNS.items()}
    paths |= {"PAYLOAD_TOO_LARGE": ["traits", "cv"], "TOO_MANY_TRAIT_NAMES": ["traits", "n1000"]}
    assert {code: [(one["code"], one["path"]) for one in some] for code, some in found.items()} == {
        code: [(code, path)] for code, path in paths.items()
    }
    assert all(one["message"] for some in found.values() for one in some)
    assert [one["path"][1] for one in warned] == ["n1000", "n2500", "n5000", "n7500"]
    assert "1,000 names of traits already, so 1,500 of this observation, n1000 for one" in warned[0]["message"]
    asked = "{ traitCatalogue { fullSources { source leftOut } } }"
    full = service.post(asked).json()["data"]["traitCatalogue"]["fullSources"]
    assert {"source": source, "leftOut": 9_000} in full
