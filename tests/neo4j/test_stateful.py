"""Random programs of observations on a real database, compared after each step with the definition of the partition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

import neo4j
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from properties.worlds import JUNK, RULES, VALUES, named
from stored import Stored, empty, problems, read

from identity_graph.domain.decision import VERDICTS, Accepted, ProfileRef, RefusedLink, created_change_id
from identity_graph.domain.evidence import Observation
from identity_graph.domain.intake import EPOCH, Rejection, parse_observation
from identity_graph.domain.rules import Rules
from identity_graph.services import observe, submit
from identity_graph.services.observe import Answer
from identity_graph.services.submit import now, write_batch
from identity_graph.store.graph import Graph


@dataclass(frozen=True)
class Say:
    """An observation to send: new, or ``like`` an earlier one: the same again, or its id with other content."""

    names: list[tuple[str, str]]
    at: int
    source: str
    record: str | None
    traits: dict[str, Any] | None
    event: dict[str, Any] | None
    like: int | None
    other_content: bool


BATCH = st.lists(
    st.builds(
        Say,
        named(VALUES, junk=True),
        st.integers(0, 5),
        st.sampled_from(["web", "crm"]),
        st.sampled_from([None, None, None, "r1", "r2"]),
        st.sampled_from([None, None, {"n": 1}, {"n": True}, {"n": 2}, {"n": "2020-01-01", "m": {"a": ["x"]}}]),
        st.sampled_from([None, {"type": "page"}, {"type": "purchase", "properties": {"value": 0.1}}]),
        st.none() | st.none() | st.none() | st.integers(0, 9),
        st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=5,
)


class Program(RuleBasedStateMachine):
    """Keeps every observation that was taken, the answer it got, and where each id ever handed out leads."""

    graph: ClassVar[Graph]
    driver: ClassVar[neo4j.Driver]

    @initialize(rules=RULES)
    def start(self, rules: Rules) -> None:
        empty(self.driver)
        self.rules = rules
        self.sent: list[dict[str, Any]] = []
        self.taken: dict[str, Observation] = {}
        self.answers: dict[str, Accepted] = {}
        self.leads: dict[str, str] = {}
        self.stored = read(self.driver)

    @rule(batch=BATCH, foretold=st.booleans())
    def submit(self, batch: list[Say], foretold: bool) -> None:
        observations = [o for o in map(self._observation, batch) if isinstance(o, Observation)]
        if not observations:
            return
        before = self.stored
        foreseen: list[Answer] = []
        if foretold:
            foreseen, token = write_batch(self.graph, observations, self.rules, dry_run=True)
            assert token == ""
            assert read(self.driver) == before, "a dry run wrote something"
        answers, _ = write_batch(self.graph, observations, self.rules)
        after = self.stored = read(self.driver)
        if foretold:
            assert anonymous(foreseen, before) == anonymous(answers, before)
        fresh = self._expect_answers(observations, answers, after)
        found = [
            *problems(after, self.standing(), self.rules, {JUNK}),
            *surprising_ids(before, after, self.rules),
            *surprising_versions(before, after),
            *untold(before, after, fresh),
        ]
        assert not found, "\n".join(found)
        self._expect_old_ids_to_lead_home(before, after)

    def standing(self) -> list[Observation]:
        """What was taken and not taken back."""
        return [o for id, o in self.taken.items() if id not in self.stored.retracted]

    def _observation(self, say: Say) -> Observation | Rejection:
        raw: dict[str, Any] = {
            "id": f"o{len(self.sent)}",
            "source": say.source,
            "observedAt": (EPOCH + timedelta(microseconds=say.at)).isoformat(),
            "identifiers": [{"namespace": name, "value": value} for name, value in say.names],
            "recordId": say.record,
            "traits": say.traits,
            "event": say.event,
        }
        if say.like is not None and self.sent:
            earlier = self.sent[say.like % len(self.sent)]
            raw = raw | {"id": earlier["id"]} if say.other_content else earlier
        self.sent.append(raw)
        return parse_observation(raw, self.rules, now())

    def _expect_answers(
        self, sent: Sequence[Observation], answers: Sequence[Answer], after: Stored
    ) -> dict[str, Accepted]:
        """The answers to what was new; every other one is a repetition of the first answer, or a conflict."""
        fresh: dict[str, Accepted] = {}
        for o, answer in zip(sent, answers, strict=True):
            first = self.taken.get(o.id)
            if first is None:
                self.taken[o.id] = o
                fresh[o.id] = self.answers[o.id] = accepted(o, answer, after)
            elif first.digest == o.digest and o.id in after.retracted:
                assert isinstance(answer, Rejection)
                assert (answer.observation_id, answer.code, answer.path) == (o.id, "RETRACTED", ("id",))
            elif first.digest == o.digest:
                if after.observations[o.id].get("restored"):
                    # It was made anew then, which had an answer of its own.
                    assert isinstance(answer, Accepted)
                    self.answers[o.id] = replace(answer, duplicate=False)
                assert answer == replace(self.answers[o.id], duplicate=True)
            else:
                assert isinstance(answer, Rejection)
                assert (answer.observation_id, answer.code, answer.path) == (o.id, "ID_REUSED", ("id",))
        return fresh

    def _expect_old_ids_to_lead_home(self, before: Stored, after: Stored) -> None:
        into = {row["loser"]: row["survivor"] for row in after.tombstones}
        self.leads = {id: into.get(home, home) for id, home in self.leads.items()}
        self.leads |= {id: id for id in after.profiles.keys() - before.profiles.keys()}
        (found,) = self.graph.read("profile/state", ids=list(self.leads))[0]
        assert {row[0]: row[1] for row in found} == self.leads
        assert set(self.leads.values()) <= after.active.keys()


def accepted(o: Observation, answer: Answer, after: Stored) -> Accepted:
    """The answer to a new observation is what is stored: where its strongest person is, and what was refused."""
    assert isinstance(answer, Accepted)
    assert (answer.observation_id, answer.duplicate) == (o.id, False)
    usable = [i.key for i in o.identifiers if i.key not in after.blocked]
    strongest = next((key for key in usable if key not in after.shared), usable[0] if usable else None)
    if strongest is None:
        assert answer.profile is None
    else:
        p = after.profiles[after.home[strongest]]
        assert answer.profile == ProfileRef(p["id"], p["size"], p["version"])
    refused = after.refused
    assert answer.refused == tuple(RefusedLink(a, b, refused[id]) for a, b, id in o.pairs if id in refused)
    return answer


def anonymous(answers: Sequence[Answer], before: Stored) -> list[Any]:
    """Answers with the ids that are new replaced by the order in which they appear."""
    names: dict[str, str] = {}

    def name(id: str) -> str:
        return id if id in before.profiles or id in before.changes else names.setdefault(id, f"new {len(names)}")

    plain: list[Any] = []
    for answer in answers:
        if isinstance(answer, Accepted):
            profile = answer.profile and replace(answer.profile, id=name(answer.profile.id))
            plain.append(replace(answer, profile=profile, changes=tuple(sorted(c.kind for c in answer.changes))))
        else:
            plain.append(answer)
    return plain


def surprising_ids(before: Stored, after: Stored, rules: Rules) -> list[str]:
    """Each id goes to where the profile's senior identifier went; of several that meet, the oldest id survives."""
    newly_shared = after.shared - before.shared

    def seniority(key: str) -> tuple[Any, ...]:
        namespace = key.partition(":")[0]
        return key in newly_shared, rules.rule(namespace).priority, before.identifiers[key]["first_seen"], key

    heirs: dict[str, list[str]] = {id: [] for id in after.active}
    for id, members in before.active.items():
        heirs[after.home[min(members, key=seniority)]].append(id)
    found: list[str] = []
    into = {row["loser"]: row["survivor"] for row in after.tombstones}
    for id, former in heirs.items():
        oldest, *merged = sorted(former, key=lambda f: (before.profiles[f]["created_at"], f)) or [None]
        if oldest != id and (oldest or id in before.profiles):
            found.append(f"{id} should be {oldest or 'new'}")
        found += [f"{old} leads to {into.get(old)}, not {id}" for old in merged if into.get(old) != id]
    return found


def surprising_versions(before: Stored, after: Stored) -> list[str]:
    """A version counts what changed of a profile."""

    def holds(graph: Stored, id: str) -> tuple[Any, ...]:
        p = graph.profiles[id]
        return p["status"], graph.active.get(id), p["refused"], p["limited"], p["guarded"]

    wanted = {
        id: before.profiles[id]["version"] + (holds(before, id) != holds(after, id)) if id in before.profiles else 1
        for id in after.profiles
    }
    return [
        f"{id} has version {p['version']}, not {wanted[id]}"
        for id, p in after.profiles.items()
        if p["version"] != wanted[id]
    ]


def untold(before: Stored, after: Stored, fresh: dict[str, Accepted]) -> list[str]:
    """Every change of who is whose was told to the observation that caused it, and by a link that explains it."""
    found: list[str] = []
    new = {id: c for id, c in after.changes.items() if id not in before.changes}
    caused = {(c["observation"], id, c["kind"]) for id, c in new.items() if c["kind"] not in VERDICTS}
    for id, p in after.profiles.items():
        if id not in before.profiles and p.get("created_by"):
            caused.add((p["created_by"], created_change_id(id), "CREATED"))
            link = after.links.get(p.get("created_link") or "")
            ends = {after.home[link[end]] for end in "ab"} if link else {id}
            if ends != {id} or (link is None) != (p["size"] == 1):
                found.append(f"{id} was created by {link}")
    told = {(o, c.id, c.kind) for o, answer in fresh.items() for c in answer.changes}
    if told != caused:
        found.append(f"told were {told}, caused {caused}")
    for id, c in new.items():
        if c["kind"] == "MERGED":
            ((survivor, _),) = [role for role in c["roles"] if role[1] == "SURVIVOR"]
            link = after.links[c["link"]]
            if link["state"] != "ACTIVE" or {after.home.get(link[end]) for end in "ab"} != {survivor}:
                found.append(f"the merge {id} is told by {link}")
    return found


@pytest.mark.parametrize("transactions", [1, 2])
def test_the_graph_is_what_was_observed(
    graph: Graph, driver: neo4j.Driver, transactions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch in one transaction, and in parts by two at once as large ones are."""
    monkeypatch.setattr(submit, "WORTH_PARTING", 1 if transactions == 2 else 10**9)
    monkeypatch.setattr(observe, "WORTH_A_PART", 1)
    Program.graph, Program.driver = graph, driver
    examples = max(1, settings().max_examples // 8)
    run_state_machine_as_test(
        Program,
        settings=settings(
            max_examples=examples, stateful_step_count=8, phases=(Phase.explicit, Phase.reuse, Phase.generate)
        ),
    )
