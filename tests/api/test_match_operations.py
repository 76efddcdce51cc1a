"""Proposals, decisions, explanations and scores as clients ask for them, on the real database with a model."""

import random
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from trained import Traits, activated, doubtful, model, records

from identity_graph.app import composed
from identity_graph.domain.rules import Rules
from identity_graph.matcher.compiled import Compiled
from identity_graph.services import match_records, models
from identity_graph.services.audit import AuditLog, audit_entries
from identity_graph.services.match_records import Matching
from identity_graph.services.observe import new_id
from identity_graph.services.submit import now

from .live import OPERATIONS, Cypher, Service, an, an_email, running, seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Compiled:
    return model(folder)


@pytest.fixture(scope="module")
def matched(service: Service, folder: Path, trained: Compiled) -> Generator[Service]:
    """The same graph with a model that matches; the others do not know of it."""
    activated(service.graph, trained)
    with running(lambda: composed(service.graph, Rules(), folder)) as found:
        yield found
    service.graph.write(
        lambda tx: tx.do("model/activate", version=None, at=2, act=new_id(), actor="ann", reason="because")
    )


@pytest.fixture(scope="module")
def pairs(trained: Compiled) -> Iterator[tuple[Traits, Traits]]:
    return doubtful(trained)


def proposed(matched: Service, pair: tuple[Traits, Traits], name: str) -> dict[str, Any]:
    """The proposal about two records, `crm/NAME` and `shop/NAME`."""
    one, other = pair
    matched.submit(
        seen(an("crm_id", f"{name}-card"), source="crm", recordId=name, traits=one),
        seen(source="shop", recordId=name, traits=other),
    )
    ends = {f"crm/{name}", f"shop/{name}"}
    return next(found for found in queue(matched) if {found["link"][end]["value"] for end in ("from", "to")} == ends)


def queue(matched: Service, status: str = "OPEN") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = matched.run("Proposals", {"status": status, "first": 2, "after": after})["proposals"]
        found += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            assert page["totalCount"] == len(found)
            return found


def decide(matched: Service, id: str, decision: str, **more: Any) -> dict[str, Any]:
    given = {"proposalId": id, "decision": decision, "reason": "asked them", **more}
    return matched.run("DecideProposal", {"input": given})["decideProposal"]


def record(name: str, source: str) -> dict[str, str]:
    return {"namespace": "record", "value": f"{source}/{name}"}


def explained(matched: Service, one: dict[str, str], other: dict[str, str]) -> dict[str, Any]:
    return matched.run("ExplainConnection", {"from": one, "to": other})["explainConnection"]


def test_a_doubtful_pair_is_proposed_with_its_evidence(
    matched: Service, trained: Compiled, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    found = proposed(matched, next(pairs), "doubt")
    assert found["status"] == "OPEN"
    assert trained.review <= found["matchWeight"] < trained.auto
    assert found["matchProbability"] == pytest.approx(1 / (1 + 2 ** -found["matchWeight"]))
    assert sorted(p["size"] for p in found["profiles"]) == [1, 2]
    levels = found["link"]["evidence"]["levels"]
    assert trained.prior + sum(level["matchWeight"] for level in levels) == pytest.approx(found["matchWeight"])
    assert found["blockedBy"] is None
    weights = [one["matchWeight"] for one in queue(matched)]
    assert weights == sorted(weights, reverse=True)
    apart = explained(matched, record("doubt", "crm"), record("doubt", "shop"))
    assert apart == {"connected": False, "path": [], "refused": []}


def test_a_merge_is_foretold_done_and_explained(matched: Service, pairs: Iterator[tuple[Traits, Traits]]) -> None:
    found = proposed(matched, next(pairs), "one")
    ids = {p["id"] for p in found["profiles"]}
    foretold = decide(matched, found["id"], "MERGE", dryRun=True)
    assert foretold["consistencyToken"] == ""
    (change,) = foretold["outcome"]["changes"]
    assert {p["profileId"] for p in change["participants"]} == ids
    assert found["id"] in [one["id"] for one in queue(matched)]

    done = decide(matched, found["id"], "MERGE")
    assert done["outcome"]["proposal"] == {"id": found["id"], "status": "MERGED"}
    assert [change["kind"] for change in done["outcome"]["changes"]] == ["MERGED"]
    assert {p["profileId"] for p in done["outcome"]["changes"][0]["participants"]} == ids
    assert found["id"] not in [one["id"] for one in queue(matched)]
    assert found["id"] in [one["id"] for one in queue(matched, "MERGED")]
    card = an("crm_id", "one-card")
    why = explained(matched, card, record("one", "shop"))
    assert why["connected"]
    assert [link["kind"] for link in why["path"]] == ["OBSERVED", "ASSERTED"]
    survivor = matched.profile_of(card)
    lineage = matched.run("MergeLineage", {"profileId": survivor})["profile"]["lineage"]["edges"]
    cause = lineage[0]["node"]["cause"]
    assert (cause["__typename"], cause["reason"]) == ("StewardCause", "asked them")


def test_a_merge_of_who_is_one_already_is_told_and_taken_back(
    matched: Service, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    """It joins nobody, yet it is a person's word: later it may be all that holds them together."""
    found, card, mail = proposed(matched, next(pairs), "same"), an("crm_id", "same-card"), an_email()
    one, other = record("same", "crm"), record("same", "shop")
    both = [seen(mail, source=source, recordId="same", observedAt="2026-02-01T10:00:00Z") for source in ("crm", "shop")]
    matched.submit(*both)
    id = matched.profile_of(card)
    assert matched.profile_of(other) == id

    def entry() -> dict[str, Any]:
        return matched.run("MergeLineage", {"profileId": matched.profile_of(card)})["profile"]["lineage"]["edges"][0][
            "node"
        ]

    def undo(change: str) -> Any:
        payload = matched.run("UndoChange", {"input": {"changeId": change, "reason": "asked again"}})["undoChange"]
        return payload["outcome"]

    (change,) = decide(matched, found["id"], "MERGE")["outcome"]["changes"]
    assert (change["kind"], change["participants"]) == ("LINK_ASSERTED", [{"profileId": id, "role": "PARTY"}])
    told = entry()
    assert (told["id"], told["cause"]["actor"], told["cause"]["reason"]) == (change["id"], "local", "asked them")
    assert decide(matched, found["id"], "MERGE")["outcome"]["code"] == "ALREADY_DECIDED"

    (back,) = undo(change["id"])["changes"]
    assert back["kind"] == entry()["kind"] == "LINK_WITHDRAWN"
    assert matched.profile_of(other) == id
    assert undo(change["id"])["code"] == "ALREADY_UNDONE"
    (again,) = undo(back["id"])["changes"]
    assert again["kind"] == "LINK_ASSERTED"
    assert found["id"] in [p["id"] for p in queue(matched, "MERGED")]

    retract = """mutation($input: RetractInput!) { retract(input: $input) { retracted } }"""
    gone = {"observations": {"ids": [o["id"] for o in both]}, "reason": "not theirs"}
    assert matched.post(retract, {"input": gone}).json()["data"]["retract"]["retracted"] == 2
    assert matched.profile_of(other) == id
    apart = undo(again["id"])["changes"]
    assert sorted(c["kind"] for c in apart) == ["LINK_WITHDRAWN", "SPLIT"]
    assert matched.profile_of(card) == id != matched.profile_of(other)
    assert found["id"] in [p["id"] for p in queue(matched)]
    assert [c["kind"] for c in undo(apart[0]["id"])["changes"]] == ["MERGED"]
    assert matched.profile_of(other) == matched.profile_of(one) == id


def test_kept_apart_is_for_good(matched: Service, pairs: Iterator[tuple[Traits, Traits]]) -> None:
    found = proposed(matched, next(pairs), "two")
    done = decide(matched, found["id"], "KEEP_APART")
    assert done["outcome"]["proposal"]["status"] == "KEPT_APART"
    why = explained(matched, record("two", "crm"), record("two", "shop"))
    assert not why["connected"]
    assert [(one["code"], one["link"]) for one in why["refused"]] == [("CANNOT_LINK", None)]
    email = an_email()
    answers = matched.submit(*(seen(email, source=source, recordId="two") for source in ("crm", "shop")))
    assert [link["code"] for answer in answers for link in answer["refusedLinks"]] == ["CANNOT_LINK"]
    why = explained(matched, record("two", "crm"), record("two", "shop"))
    assert [one["link"]["state"] for one in why["refused"] if one["link"]] == ["REFUSED"]
    again = decide(matched, found["id"], "MERGE")["outcome"]
    assert (again["__typename"], again["code"]) == ("DecisionRefused", "ALREADY_DECIDED")


def test_a_guard_rail_stands_before_a_persons_word(matched: Service, pairs: Iterator[tuple[Traits, Traits]]) -> None:
    found = proposed(matched, next(pairs), "rail")
    matched.submit(seen(an("crm_id", "another-card"), source="shop", recordId="rail"))
    (blocked,) = [one for one in queue(matched) if one["id"] == found["id"]]
    assert blocked["blockedBy"]["code"] == "UNIQUE_NAMESPACE"
    outcome = decide(matched, found["id"], "MERGE")["outcome"]
    assert (outcome["__typename"], outcome["code"]) == ("DecisionRefused", "UNIQUE_NAMESPACE")
    assert found["id"] in [one["id"] for one in queue(matched)]
    unknown = decide(matched, "nothing", "MERGE")["outcome"]
    assert unknown["code"] == "UNKNOWN_PROPOSAL"


def test_the_strongest_path_is_the_shortest_of_certain_links(service: Service) -> None:
    a, b, c = an_email(), an("user_id"), an("cookie_id")
    service.submit(seen(a, b), seen(b, c))
    why = explained(service, a, c)
    assert why["connected"]
    assert [{link["from"]["value"], link["to"]["value"]} for link in why["path"]] == [
        {a["value"], b["value"]},
        {b["value"], c["value"]},
    ]
    assert explained(service, a, a) == {"connected": True, "path": [], "refused": []}
    assert explained(service, a, an_email())["connected"] is False


def test_a_refused_link_explains_why_two_are_apart(service: Service) -> None:
    one, other, shared = an("user_id"), an("user_id"), an_email()
    service.submit(seen(one, shared), seen(other, shared))
    why = explained(service, one, other)
    assert not why["connected"]
    assert {found["code"] for found in why["refused"]} == {"UNIQUE_NAMESPACE"}
    assert all(found["link"]["state"] == "REFUSED" for found in why["refused"])


APART = """query($from: IdentifierInput!, $to: IdentifierInput!) { explainConnection(from: $from, to: $to) {
    message wouldJoin proposals { id blockedBy { code } } refused { code link { id } cannotLink { id } } } }"""


def test_what_would_join_two_is_told(matched: Service, pairs: Iterator[tuple[Traits, Traits]]) -> None:
    found = proposed(matched, next(pairs), "join")
    one, other = record("join", "crm"), record("join", "shop")

    def told() -> dict[str, Any]:
        return matched.post(APART, {"from": other, "to": one}).json()["data"]["explainConnection"]

    waits = told()
    assert waits["proposals"] == [{"id": found["id"], "blockedBy": None}]
    (sentence,) = waits["wouldJoin"]
    assert found["id"] in sentence
    assert "propose" in waits["message"]

    # A cannot-link of others than the ends leaves the proposal open, and blocks it.
    email = an_email()
    matched.submit(seen(email, source="shop", recordId="join", observedAt="2026-02-01T10:00:00Z"))
    matched.run("SetCannotLink", {"input": {"a": an("crm_id", "join-card"), "b": email, "reason": "they are two"}})
    apart = told()
    assert apart["proposals"] == [{"id": found["id"], "blockedBy": {"code": "CANNOT_LINK"}}]
    (word,) = [one["cannotLink"]["id"] for one in apart["refused"]]
    (sentence,) = apart["wouldJoin"]
    assert word in sentence
    assert email["value"] in sentence

    decide(matched, found["id"], "KEEP_APART")
    assert (told()["proposals"], len(told()["wouldJoin"])) == ([], 2)


def test_the_rule_that_refuses_a_link_is_told_and_who_was_never_seen(service: Service) -> None:
    one, other, shared = an("user_id"), an("user_id"), an_email()
    service.submit(seen(one, shared), seen(other, shared))

    def told(a: dict[str, str], b: dict[str, str]) -> dict[str, Any]:
        return service.post(APART, {"from": a, "to": b}).json()["data"]["explainConnection"]

    refused = told(one, other)
    ((link,), (sentence,)) = [one["link"]["id"] for one in refused["refused"]], refused["wouldJoin"]
    assert link in sentence
    assert "UNIQUE_NAMESPACE" in sentence
    stranger = an_email()
    unseen = told(one, stranger)
    assert (unseen["refused"], unseen["wouldJoin"]) == ([], [])
    assert unseen["message"] == f"email:{stranger['value']} was never observed."
    service.submit(seen(stranger))
    assert told(one, stranger)["message"] == "No evidence joins them."
    assert told(one, one)["message"] == "They are one person's."


SCORE = (OPERATIONS / "ScoreRecords.graphql").read_text()


def test_any_two_records_can_be_scored(
    matched: Service,
    service: Service,
    trained: Compiled,
    pairs: Iterator[tuple[Traits, Traits]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    audited: set[str | None] = set()
    monkeypatch.setattr("identity_graph.api.matching.show", lambda *ids: audited.update(ids))
    found = proposed(matched, next(pairs), "score")
    given = {"a": {"source": "shop", "recordId": "score"}, "b": {"source": "crm", "recordId": "score"}}
    scored = matched.post(SCORE, given).json()["data"]["scoreRecords"]
    assert scored["matchWeight"] == pytest.approx(found["matchWeight"], abs=1e-9)
    assert scored["levels"] == found["link"]["evidence"]["levels"]
    assert audited == {p["id"] for p in found["profiles"]}
    unknown = given | {"b": {"source": "crm", "recordId": "nobody"}}
    assert matched.post(SCORE, unknown).json()["data"] == {"scoreRecords": None}
    (error,) = service.post(SCORE, given).json()["errors"]
    assert error["extensions"]["code"] == "NO_ACTIVE_MODEL"


def test_what_a_record_said_before_may_be_retracted_without_a_trace_in_its_matches(
    matched: Service, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    found = proposed(matched, next(pairs), "stale")
    stale = seen(source="crm", recordId="stale", traits={"first_name": "Nobody"}, observedAt="2001-01-01T00:00:00Z")
    matched.submit(stale)
    retract = "mutation($input: RetractInput!) { retract(input: $input) { retracted } }"
    asked = {"input": {"observations": {"ids": [stale["id"]]}, "reason": "mistyped"}}
    assert matched.post(retract, asked).json()["data"] == {"retract": {"retracted": 1}}
    assert found["id"] in [one["id"] for one in queue(matched)]


WHY_NOT = """query($a: RecordInput!, $b: RecordInput!) {
    whyNotMatched(a: $a, b: $b) { reason message evidence { matchWeight } } whyRefused(a: $a, b: $b) { code } }"""


def test_it_is_told_why_two_records_are_not_matched(
    matched: Service, service: Service, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    found = proposed(matched, next(pairs), "why")
    a, b = {"source": "shop", "recordId": "why"}, {"source": "crm", "recordId": "why"}

    def why(one: dict[str, str], other: dict[str, str]) -> tuple[str, list[str]]:
        told = matched.post(WHY_NOT, {"a": one, "b": other}).json()["data"]
        assert told["whyNotMatched"]["message"].endswith(".")
        return told["whyNotMatched"]["reason"], [one["code"] for one in told["whyRefused"]]

    assert why(a, b) == why(b, a) == ("PROPOSED", [])
    decide(matched, found["id"], "KEEP_APART")
    assert why(a, b) == ("KEPT_APART", ["CANNOT_LINK"])
    matched.submit(seen(source="till", recordId="why", traits={"first_name": "Xerxes", "last_name": "Quux"}))
    stranger = {"source": "till", "recordId": "why"}
    assert why(a, stranger) == ("UNLIKELY", [])
    nobody = {"source": "till", "recordId": "nobody"}
    told = matched.post(WHY_NOT, {"a": a, "b": nobody}).json()["data"]
    assert told == {"whyNotMatched": None, "whyRefused": None}
    (error,) = service.post(WHY_NOT, {"a": a, "b": b}).json()["errors"]
    assert error["extensions"]["code"] == "NO_ACTIVE_MODEL"


@pytest.mark.parametrize("asked", ["whyNotMatched(a: $a, b: $b) { reason }", "whyRefused(a: $a, b: $b) { code }"])
def test_why_two_are_two_is_a_read_of_both(
    matched: Service,
    pairs: Iterator[tuple[Traits, Traits]],
    folder: Path,
    tmp_path: Path,
    cypher: Cypher,
    asked: str,
) -> None:
    """Whatever is told of them; and of nobody, where there is no such record."""
    name = new_id()
    found = proposed(matched, next(pairs), name)
    query = f"query($a: RecordInput!, $b: RecordInput!) {{ {asked} }}"
    a, b, nobody = ({"source": source, "recordId": name} for source in ("shop", "crm", "till"))
    with (
        closing(AuditLog(tmp_path, matched.graph, now)) as log,
        running(lambda: composed(matched.graph, Rules(), folder, log)) as audited,
    ):
        assert audited.post(query, {"a": a, "b": b}).json()["data"].popitem()[1] is not None
        assert audited.post(query, {"a": nobody, "b": nobody}).json()["data"].popitem()[1] is None
    cypher("MATCH (a:Audit) DELETE a")
    both, none = audit_entries(tmp_path)
    assert (both["does"], both["what"]) == ("read", [asked.partition("(")[0]])
    assert sorted(both["profiles"]) == sorted(p["id"] for p in found["profiles"])
    assert none["profiles"] == []


def test_what_undoes_a_decision_decides_the_proposal_anew(
    matched: Service, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    found = proposed(matched, next(pairs), "undo")
    a, b = {"source": "shop", "recordId": "undo"}, {"source": "crm", "recordId": "undo"}

    def undo(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        given = {"input": {"changeId": changes[0]["id"], "reason": "no"}}
        return matched.run("UndoChange", given)["undoChange"]["outcome"]["changes"]

    def stands() -> tuple[str, str]:
        (status,) = [s for s in ("OPEN", "MERGED", "KEPT_APART") if found["id"] in [p["id"] for p in queue(matched, s)]]
        return status, matched.post(WHY_NOT, {"a": a, "b": b}).json()["data"]["whyNotMatched"]["reason"]

    merged = decide(matched, found["id"], "MERGE")["outcome"]["changes"]
    assert stands() == ("MERGED", "MATCHED")
    undone = undo(merged)
    assert stands() == ("KEPT_APART", "KEPT_APART")
    redone = undo(undone)
    assert stands() == ("MERGED", "MATCHED")
    undo(redone)
    assert stands() == ("KEPT_APART", "KEPT_APART")

    one, other = record("undo", "shop"), record("undo", "crm")
    both = {"input": {"a": one, "b": other, "reason": "let them be"}}
    assert matched.run("RemoveCannotLink", both)["removeCannotLink"]["outcome"]["__typename"] == "ProfileChanged"
    assert stands() == ("MERGED", "MATCHED")


def test_a_decision_to_keep_apart_is_open_again_where_it_is_undone(
    matched: Service, pairs: Iterator[tuple[Traits, Traits]]
) -> None:
    found = proposed(matched, next(pairs), "apart")
    (change,) = decide(matched, found["id"], "KEEP_APART")["outcome"]["changes"]
    matched.run("UndoChange", {"input": {"changeId": change["id"], "reason": "no"}})
    assert found["id"] in [one["id"] for one in queue(matched)]
    both = {"a": record("apart", "shop"), "b": record("apart", "crm"), "reason": "they are two after all"}
    matched.run("SetCannotLink", {"input": both})
    assert found["id"] in [one["id"] for one in queue(matched, "KEPT_APART")]


def test_the_model_tells_its_weights(matched: Service, service: Service, trained: Compiled) -> None:
    found = matched.run("MatchModel")["matchModel"]
    assert found["version"] == trained.version
    assert found["thresholds"] == {"automatic": trained.auto, "review": trained.review}
    assert (
        max(level["matchWeight"] for level in found["weights"])
        > 0
        > min(level["matchWeight"] for level in found["weights"])
    )
    assert service.run("MatchModel") == {"matchModel": None}


def test_a_decision_needs_a_reason(matched: Service) -> None:
    given = {"input": {"proposalId": "x", "decision": "MERGE", "reason": "  "}}
    query = "mutation($input: DecideProposalInput!) { decideProposal(input: $input) { consistencyToken } }"
    (error,) = matched.post(query, given).json()["errors"]
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert "reason" in error["message"]


def test_a_model_is_activated_while_the_service_takes_records(
    service: Service, cypher: Cypher, folder: Path, trained: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before, meanwhile and after is matched as if all had been there at once."""
    monkeypatch.setattr(match_records, "REFRESH", 0.2)
    rows = [seen(source=source, recordId=f"live-{id}", traits=traits) for source, id, traits in records(60, seed=11)]
    random.Random(7).shuffle(rows)
    activated(service.graph, trained)
    by_nobody = {"act": new_id(), "actor": "ann", "reason": "because"}
    service.graph.write(lambda tx: tx.do("model/activate", version=None, at=2, **by_nobody))
    matching = Matching(service.graph, Rules(), folder, now)
    with running(lambda: composed(service.graph, Rules(), folder)) as serving, ThreadPoolExecutor(1) as pool:
        serving.submit(*rows[:50])
        assert matched_links(cypher) == set()
        begun = threading.Event()

        def write() -> None:
            for at in range(50, 100, 5):
                serving.submit(*rows[at : at + 5])
                begun.set()

        writing = pool.submit(write)
        begun.wait(60)
        models.activate(matching, trained.version, lambda *_: None, patience=10.0)
        writing.result()
        serving.submit(*rows[100:])
        wanted = models.matches_of(service.graph, folder, trained.version, lambda _: None)
        of_these = {id for id, m in wanted.items() if "live-" in m.a.record and "live-" in m.b.record}
        assert len(of_these) > 40
        assert matched_links(cypher) == of_these
    models.activate(matching, None, lambda *_: None)
    assert matched_links(cypher) == set()


def test_a_model_is_not_undone_by_the_change_that_activated_it(matched: Service) -> None:
    told = matched.post("{ graphChanges(first: 100) { id kind } }").json()["data"]["graphChanges"]
    change = next(change["id"] for change in told if change["kind"] == "MODEL_CHANGED")
    given = {"changeId": change, "reason": "no", "expectedVersion": 1}
    outcome = matched.run("UndoChange", {"input": given})["undoChange"]["outcome"]
    assert (outcome["__typename"], outcome["code"]) == ("ChangeRefused", "NOT_UNDOABLE")


def matched_links(cypher: Cypher) -> set[str]:
    """The matched links between records of the last test."""
    found = cypher(
        "MATCH ()-[l:LINK {kind: 'MATCHED'}]->() "
        "WHERE l.state <> 'RETRACTED' AND l.record_a CONTAINS 'live-' AND l.record_b CONTAINS 'live-' RETURN l.id AS id"
    )
    return {row["id"] for row in found}
