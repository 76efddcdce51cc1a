"""A steward's word on a trait, in GraphQL."""

import asyncio
from typing import Annotated

import strawberry

from identity_graph.api.scalars import JSON
from identity_graph.api.stewardship import DRY_RUN, EXPECTED, ChangeRefused, checked_reason
from identity_graph.api.types import Info, Profile
from identity_graph.services.lookup import Freshness
from identity_graph.services.overrides import Override
from identity_graph.services.stewardship import Declined

_REASON = "Why, 1 to 1,000 characters; kept with the name of the API key."


@strawberry.input
class OverrideTraitInput:
    profile_id: strawberry.ID
    name: str
    value: JSON = strawberry.field(description="Any JSON value but null.")
    reason: str = strawberry.field(description=_REASON)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class RemoveOverrideInput:
    profile_id: strawberry.ID
    name: str
    reason: str = strawberry.field(description=_REASON)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.type(description="The profile shows the value, or again what its records say.")
class TraitOverridden:
    profile: Profile


OverrideOutcome = Annotated[TraitOverridden | ChangeRefused, strawberry.union("OverrideOutcome")]


@strawberry.type
class OverridePayload:
    consistency_token: str = strawberry.field(description="Empty after a dry run, and where nothing was done.")
    outcome: OverrideOutcome


@strawberry.type
class OverrideMutation:
    @strawberry.mutation(description="Set a trait of a person by hand. It comes before what all records say.")
    async def override_trait(self, info: Info, input: OverrideTraitInput) -> OverridePayload:
        return await _apply(info, input, input.value)

    @strawberry.mutation(description="Let a trait follow the records again.")
    async def remove_override(self, info: Info, input: RemoveOverrideInput) -> OverridePayload:
        return await _apply(info, input, None)


async def _apply(info: Info, input: OverrideTraitInput | RemoveOverrideInput, value: object) -> OverridePayload:
    said = Override(input.name, value, info.context.caller.name, checked_reason(input.reason))
    try:
        id, token = await asyncio.to_thread(
            info.context.services.overrides.apply,
            input.profile_id,
            said,
            expected_version=input.expected_version,
            dry_run=input.dry_run,
        )
    except Declined as e:
        return OverridePayload(consistency_token="", outcome=ChangeRefused(code=e.code, message=str(e)))
    profile = Profile(id=strawberry.ID(id), fresh=Freshness(token=token or None))
    return OverridePayload(consistency_token=token, outcome=TraitOverridden(profile=profile))
