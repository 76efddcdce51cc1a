"""A steward's word on a trait, in GraphQL."""

import strawberry

from identity_graph.api.scalars import JSON
from identity_graph.api.stewardship import DRY_RUN, EXPECTED, REASON, ProfileChangePayload, acted, by_caller
from identity_graph.api.types import Info
from identity_graph.services.overrides import Override


@strawberry.input
class OverrideTraitInput:
    profile_id: strawberry.ID
    name: str
    value: JSON = strawberry.field(description="Any JSON value but null.")
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class RemoveOverrideInput:
    profile_id: strawberry.ID
    name: str
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.type
class OverrideMutation:
    @strawberry.mutation(description="Set a trait of a person by hand. It comes before what all records say.")
    async def override_trait(self, info: Info, input: OverrideTraitInput) -> ProfileChangePayload:
        return await _apply(info, input, input.value)

    @strawberry.mutation(description="Let a trait follow the records again.")
    async def remove_override(self, info: Info, input: RemoveOverrideInput) -> ProfileChangePayload:
        return await _apply(info, input, None)


async def _apply(info: Info, input: OverrideTraitInput | RemoveOverrideInput, value: object) -> ProfileChangePayload:
    stewards, by = by_caller(info, input.reason)
    said, id, version = Override(input.name, value), input.profile_id, input.expected_version
    return await acted(lambda: stewards.override(id, said, version, *by, dry_run=input.dry_run))
