"""Matching as clients see it: proposals and what becomes of them, why two identifiers are connected, and the model."""

import asyncio
from collections.abc import Iterable
from enum import Enum
from typing import Annotated

import strawberry

from identity_graph.api.errors import BadInput, NoModel, UnusableIdentifier
from identity_graph.api.inputs import IdentifierInput
from identity_graph.api.limits import LENGTH
from identity_graph.api.scalars import DateTime, from_cursor, moment, to_cursor
from identity_graph.api.stewardship import checked_reason, told
from identity_graph.api.types import (
    After,
    Change,
    ComparisonLevel,
    Connection,
    First,
    Info,
    Link,
    MatchEvidence,
    Profile,
    page_size,
)
from identity_graph.domain import matches as domain
from identity_graph.domain.evidence import Refusal, RefusalCode
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.matches import ProposalStatus
from identity_graph.domain.rules import RECORD_NAMESPACE
from identity_graph.services import connections
from identity_graph.services import proposals as service
from identity_graph.services.audit import show
from identity_graph.services.declined import Declined
from identity_graph.services.lookup import Found, Freshness, Status
from identity_graph.services.scoring import WhyNot

#: A model has so many levels; two profiles are kept apart by little.
MANY, FEW = {LENGTH: 60}, {LENGTH: 2}
_NO_MODEL = "no model is active; train one and activate it with `identity-graph match`"

strawberry.enum(ProposalStatus, description="A proposal waits for a decision, or what was decided.")


@strawberry.enum(description="What a person says of a proposal.")
class ProposalDecision(Enum):
    MERGE = "MERGE"
    KEEP_APART = "KEEP_APART"


@strawberry.type(description="Why a link does not conduct, or would not.")
class Obstacle:
    code: RefusalCode
    message: str

    @classmethod
    def of(cls, refusal: Refusal) -> "Obstacle":
        return cls(code=refusal.code, message=refusal.message)


@strawberry.type(description="A merge that the model suggests and a person may decide.")
class Proposal:
    id: strawberry.ID
    status: ProposalStatus
    profiles: list[Profile] = strawberry.field(
        description="Whose identifiers the link joins; one where they are one person's by now.", metadata=FEW
    )
    blocked_by: Obstacle | None = strawberry.field(description="The guard rail that a merge would break.")
    fresh: strawberry.Private[Freshness]

    @classmethod
    def of(cls, found: service.Proposal, fresh: Freshness) -> "Proposal":
        return cls(
            id=strawberry.ID(found.id),
            status=found.status,
            profiles=[Profile(id=strawberry.ID(id), fresh=fresh) for id in found.profiles],
            blocked_by=Obstacle.of(found.blocked_by) if found.blocked_by else None,
            fresh=fresh,
        )

    @strawberry.field(description="The matched link, with the evidence.")
    async def link(self, info: Info) -> Link:
        row = await info.context.services.profiles.link(self.id, self.fresh)
        if row is None:
            raise BadInput(f"there is no link {self.id} any more")
        return Link.of(row)

    @strawberry.field(description="In bits, see the link's evidence.")
    async def match_weight(self, info: Info) -> float:
        return (await self.link(info)).match_weight or 0.0

    @strawberry.field
    async def match_probability(self, info: Info) -> float:
        return (await self.link(info)).match_probability or 0.0


@strawberry.type(description="A person's word that two sides are not one person.")
class CannotLink:
    id: strawberry.ID
    actor: str
    reason: str
    at: DateTime

    @classmethod
    def of(cls, word: connections.CannotLinkRow) -> "CannotLink":
        return cls(id=strawberry.ID(word.id), actor=word.actor, reason=word.reason, at=moment(word.at))


@strawberry.type(description="A refused link between two people, or a person's word that they are two.")
class ConnectionObstacle(Obstacle):
    link: Link | None = strawberry.field(description="Null for a person's word, or where an identifier joins nobody.")
    cannot_link: CannotLink | None = strawberry.field(description="The person's word.")

    @classmethod
    def of_connection(cls, found: connections.Obstacle) -> "ConnectionObstacle":
        return cls(
            code=found.refusal.code,
            message=found.refusal.message,
            link=Link.of(found.link) if found.link else None,
            cannot_link=CannotLink.of(found.word) if found.word else None,
        )


@strawberry.type(description="Why two identifiers are one person's, or why not.")
class ConnectionExplanation:
    connected: bool
    path: list[Link] = strawberry.field(description="The strongest path, from the first to the second; of several the "
                                                    "shortest.")  # fmt: skip
    refused: list[ConnectionObstacle] = strawberry.field(
        description="What keeps them apart; empty where no evidence joins them."
    )
    message: str = strawberry.field(description="The answer in a sentence, also that an identifier was never observed.")
    proposals: list[Proposal] = strawberry.field(
        description="The open proposals between both people, the surest first; 20 at most.", metadata=FEW
    )
    would_join: list[str] = strawberry.field(
        description="What would let them be one person's: a proposal to decide, a cannot-link to remove, a rule that "
        "refuses a link. A sentence each."
    )


@strawberry.type(description="From which match weight on, in bits, records are joined, or proposed to be.")
class MatchThresholds:
    automatic: float
    review: float


@strawberry.type(description="The model that matches now.")
class MatchModel:
    version: strawberry.ID
    trained_at: DateTime
    activated_at: DateTime
    thresholds: MatchThresholds
    expectation: str = strawberry.field(description="How many of its merges are expected to be right, in a sentence.")
    prior_weight: float = strawberry.field(description="log2 of the odds of two random records, in bits.")
    weights: list[ComparisonLevel] = strawberry.field(
        description="Every level of every comparison, before term frequencies.", metadata=MANY
    )


@strawberry.input(description="A record by the source's own id.")
class RecordInput:
    source: str
    record_id: strawberry.ID

    @property
    def key(self) -> str:
        return f"{self.source}/{self.record_id}"


strawberry.enum(
    WhyNot,
    name="WhyNotMatched",
    description="It is matched after all; it waits for a person, or for its comparison; a person keeps them apart; a "
    "guard rail refuses it; too little speaks for it; or they share nothing to be compared by.",
)


@strawberry.type
class Unmatched:
    reason: WhyNot
    message: str
    evidence: MatchEvidence = strawberry.field(description="What speaks for and against it, compared or not.")


@strawberry.input
class DecideProposalInput:
    proposal_id: strawberry.ID
    decision: ProposalDecision
    reason: str = strawberry.field(description="Kept in the lineage, with the name of the API key.")
    dry_run: bool = strawberry.field(default=False, description="Say what would happen, and write nothing.")


@strawberry.type(description="The decision was taken.")
class ProposalDecided:
    proposal: Proposal
    changes: list[Change] = strawberry.field(metadata=FEW)


@strawberry.type(description="The decision cannot be taken; `code` is that of a refused link, `UNKNOWN_PROPOSAL` or "
                             "`ALREADY_DECIDED`.")  # fmt: skip
class DecisionRefused:
    code: str
    message: str


DecideProposalOutcome = Annotated[ProposalDecided | DecisionRefused, strawberry.union("DecideProposalOutcome")]


@strawberry.type
class DecideProposalPayload:
    consistency_token: str
    outcome: DecideProposalOutcome


@strawberry.type
class MatchQuery:
    @strawberry.field(description="What the model proposes, the surest first.")
    async def proposals(
        self,
        info: Info,
        status: ProposalStatus = ProposalStatus.OPEN,
        first: First = 20,
        after: After = None,
    ) -> Connection[Proposal]:
        fresh, services = info.context.fresh(), info.context.services
        key = None if after is None else from_cursor(after, float, str)
        page = await asyncio.to_thread(services.proposals.page, status, page_size(first), key, fresh)
        found, more, total = page
        nodes = [Proposal.of(one, fresh) for one in found]
        return Connection.of(nodes, [to_cursor(one.weight, one.id) for one in found], more, total)

    @strawberry.field(description="Why are these two one person's, or why not?")
    async def explain_connection(
        self,
        info: Info,
        from_: Annotated[IdentifierInput, strawberry.argument(name="from")],
        to: IdentifierInput,
    ) -> ConnectionExplanation:
        services, fresh = info.context.services, info.context.fresh()
        explained = await services.connections.explain(
            ((from_.namespace, from_.value), (to.namespace, to.value)), fresh
        )
        for found, argument in zip(explained.ends, ("from", "to"), strict=True):
            _usable(found, argument)
        _shown(explained.ends)
        return ConnectionExplanation(
            connected=explained.connected,
            path=[Link.of(row) for row in explained.path],
            refused=[ConnectionObstacle.of_connection(one) for one in explained.obstacles],
            message=explained.message,
            proposals=[Proposal.of(one, fresh) for one in explained.proposals],
            would_join=explained.would_join,
        )

    @strawberry.field(description="The model that matches now; null where none does.")
    async def match_model(self, info: Info) -> MatchModel | None:
        found = await asyncio.to_thread(info.context.services.scoring.model)
        if found is None:
            return None
        known, model = found
        return MatchModel(
            version=strawberry.ID(known.version),
            trained_at=moment(known.trained_at),
            activated_at=moment(known.activated_at or known.trained_at),
            thresholds=MatchThresholds(automatic=model.auto, review=model.review),
            expectation=model.words,
            prior_weight=model.prior,
            weights=_levels(model.weights),
        )

    @strawberry.field(description="What the model that matches now says of two records, whether they were compared or "
                                  "not; null where there is no such record.")  # fmt: skip
    async def score_records(self, info: Info, a: RecordInput, b: RecordInput) -> MatchEvidence | None:
        fresh = info.context.fresh()
        scoring = info.context.services.scoring
        if await asyncio.to_thread(scoring.model) is None:
            raise NoModel(_NO_MODEL)
        evidence = await asyncio.to_thread(scoring.score, a.key, b.key, fresh.token)
        _shown(await info.context.services.lookup.resolve(_pair(a, b), fresh))
        return _evidence(evidence) if evidence else None

    @strawberry.field(description="Why does the model not join two records? Null where there is no such record.")
    async def why_not_matched(self, info: Info, a: RecordInput, b: RecordInput) -> Unmatched | None:
        scoring, fresh = info.context.services.scoring, info.context.fresh()
        if await asyncio.to_thread(scoring.model) is None:
            raise NoModel(_NO_MODEL)
        found = await asyncio.to_thread(scoring.why_not, a.key, b.key, fresh.token)
        _shown(await info.context.services.lookup.resolve(_pair(a, b), fresh))
        return (
            Unmatched(reason=found.reason, message=found.message, evidence=_evidence(found.evidence)) if found else None
        )

    @strawberry.field(
        description="What keeps two records apart: refused links between their profiles, or a person's word. Empty "
        "where no evidence joins them, or where they are one person's; null where there is no such record."
    )
    async def why_refused(self, info: Info, a: RecordInput, b: RecordInput) -> list[ConnectionObstacle] | None:
        services, fresh = info.context.services, info.context.fresh()
        explained = await services.connections.explain(_pair(a, b), fresh)
        _shown(explained.ends)
        return None if explained.unseen else [ConnectionObstacle.of_connection(one) for one in explained.obstacles]


@strawberry.type
class MatchMutation:
    @strawberry.mutation(description="Merge two people whom the model proposes, or keep them apart for good.")
    async def decide_proposal(self, info: Info, input: DecideProposalInput) -> DecideProposalPayload:
        reason = checked_reason(input.reason)
        status = ProposalStatus.MERGED if input.decision is ProposalDecision.MERGE else ProposalStatus.KEPT_APART
        services, actor = info.context.services, info.context.caller.name
        try:
            decided, token = await asyncio.to_thread(
                services.proposals.decide, input.proposal_id, status, actor, reason, dry_run=input.dry_run
            )
        except Declined as e:
            return DecideProposalPayload(consistency_token="", outcome=DecisionRefused(code=e.code, message=str(e)))
        fresh = Freshness(token=token or None)
        ends = await services.lookup.resolve([split_key(key) for key in decided.ends], fresh)
        holders = dict.fromkeys(found.holder for found in ends if found.holder)
        proposal = Proposal(
            id=input.proposal_id,
            status=decided.status,
            profiles=[Profile(id=strawberry.ID(id), fresh=fresh) for id in holders],
            blocked_by=None,
            fresh=fresh,
        )
        outcome = ProposalDecided(proposal=proposal, changes=told(decided.changes, token))
        return DecideProposalPayload(consistency_token=token, outcome=outcome)


def _pair(a: RecordInput, b: RecordInput) -> tuple[tuple[str, str], tuple[str, str]]:
    """The identifiers of two records."""
    return (RECORD_NAMESPACE, a.key), (RECORD_NAMESPACE, b.key)


def _shown(ends: Iterable[Found]) -> None:
    """What is told of identifiers is told of the people whose they are."""
    show(*(found.holder for found in ends))


def _levels(levels: tuple[domain.Level, ...]) -> list[ComparisonLevel]:
    return [ComparisonLevel(comparison=lv.comparison, level=lv.level, match_weight=lv.weight) for lv in levels]


def _evidence(found: domain.MatchEvidence) -> MatchEvidence:
    return MatchEvidence(
        model_version=found.version,
        match_weight=found.weight,
        match_probability=found.probability,
        levels=_levels(found.levels),
    )


def _usable(found: Found, argument: str) -> None:
    if found.status is Status.INVALID:
        raise UnusableIdentifier(f"{argument}.{found.reason}")
