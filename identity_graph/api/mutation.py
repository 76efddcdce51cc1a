"""Writes. Expected outcomes are values of a union; each payload carries a consistency token."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import strawberry

from identity_graph.api.errors import BadInput
from identity_graph.api.inputs import SubmitLinksInput
from identity_graph.api.limits import LENGTH
from identity_graph.api.matching import MatchMutation
from identity_graph.api.overrides import OverrideMutation
from identity_graph.api.segments import SegmentMutation
from identity_graph.api.stewardship import StewardMutation
from identity_graph.api.types import Change, ChangeKind, Info, Profile, RefusedLink
from identity_graph.domain.decision import Accepted
from identity_graph.domain.intake import Rejection, parse_observation, too_many_names
from identity_graph.domain.rules import Rules
from identity_graph.services.submit import now

MAX_OBSERVATIONS = 500

REJECTION_CODES = """\
- `INVALID_OBSERVATION`: a field is missing, or not of the form that it must have.
- `INVALID_IDENTIFIER`: an identifier has no such value, or none of them can hold traits or an event.
- `UNKNOWN_NAMESPACE`: the rules are strict and do not name it.
- `TOO_MANY_IDENTIFIERS`: more than one person has in one observation.
- `TIMESTAMP_OUT_OF_RANGE`: `observedAt` is no time between 1970 and one day from now.
- `PAYLOAD_TOO_LARGE`: traits or properties have more bytes than are kept.
- `ID_REUSED`: an observation with this id and other content was taken before.
- `RETRACTED`: the observation was taken back.
- `NOT_STORABLE`: the database refuses what it holds."""

#: Most observations refuse nothing and change one profile at most.
FEW = {LENGTH: 1}


WARNING_CODES = """\
- `TOO_MANY_TRAIT_NAMES`: some traits stay in the record, as the source has more names of them than the rules take."""


@strawberry.type(description="What of an observation cannot be used, though it was taken.")
class ObservationWarning:
    code: str = strawberry.field(description=WARNING_CODES)
    message: str
    path: list[str]


@strawberry.type(description="The observation was taken; a duplicate gives the first result.")
class ObservationAccepted:
    observation_id: strawberry.ID
    duplicate: bool
    profile: Profile | None = strawberry.field(description="Null where all its identifiers are junk.")
    refused_links: list[RefusedLink] = strawberry.field(metadata=FEW)
    changes: list[Change] = strawberry.field(metadata=FEW)
    warnings: list[ObservationWarning] = strawberry.field(
        description="What of it cannot be used, though it was taken; not repeated to a duplicate.", metadata=FEW
    )


@strawberry.type(description="The observation was not taken; `code` says why and `path` leads to the field.")
class ObservationRejected:
    observation_id: strawberry.ID
    code: str = strawberry.field(description=REJECTION_CODES)
    message: str
    path: list[str]


ObservationResult = Annotated[ObservationAccepted | ObservationRejected, strawberry.union("ObservationResult")]


@strawberry.type
class SubmitLinksPayload:
    consistency_token: str = strawberry.field(
        description="Sent as `X-Consistency-Token`, it makes a read see at least this write. Empty after a dry run."
    )
    results: list[ObservationResult] = strawberry.field(description="In the order of the observations.")


@strawberry.type
class Mutation(MatchMutation, StewardMutation, SegmentMutation, OverrideMutation):
    @strawberry.mutation(description="Submit what sources observed. Safe to send again.")
    async def submit_links(self, info: Info, input: SubmitLinksInput) -> SubmitLinksPayload:
        if not 1 <= len(input.observations) <= MAX_OBSERVATIONS:
            raise BadInput(f"observations has 1 to {MAX_OBSERVATIONS} items, this one has {len(input.observations)}")
        services, at = info.context.services, now()
        raw = cast(list[Mapping[str, Any]], input.observations)
        observations = [parse_observation(one, services.rules, at) for one in raw]
        answers, token = await services.submitter.submit(observations, dry_run=input.dry_run)
        results = [_rejected(a) if isinstance(a, Rejection) else _accepted(a, token, services.rules) for a in answers]
        return SubmitLinksPayload(consistency_token=token, results=results)


def _accepted(answer: Accepted, token: str, rules: Rules) -> ObservationAccepted:
    told = [too_many_names(answer.observation_id, answer.left_out, rules)] if answer.left_out else []
    return ObservationAccepted(
        observation_id=strawberry.ID(answer.observation_id),
        duplicate=answer.duplicate,
        profile=Profile.written(answer.profile, token) if answer.profile else None,
        refused_links=[RefusedLink.of(link) for link in answer.refused],
        changes=[
            Change(id=strawberry.ID(change.id), kind=ChangeKind(change.kind), token=token or None)
            for change in answer.changes
        ],
        warnings=[
            ObservationWarning(code=one.code, message=one.message, path=[str(part) for part in one.path])
            for one in told
        ],
    )


def _rejected(answer: Rejection) -> ObservationRejected:
    return ObservationRejected(
        observation_id=strawberry.ID(answer.observation_id or ""),
        code=answer.code,
        message=answer.message,
        path=[str(part) for part in answer.path],
    )
