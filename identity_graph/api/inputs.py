"""What clients send. Lists of these come by the thousand, so each is built from its map directly."""

from collections.abc import Mapping
from typing import Any

import strawberry
from strawberry.types.arguments import InputContext
from strawberry.types.base import get_object_definition

from identity_graph.api.scalars import JSON, DateTime


@strawberry.input(description="A value as it was seen, in its namespace; it is normalised here.")
class IdentifierInput:
    namespace: str
    value: str


@strawberry.input(description="What was done when it was observed.")
class EventInput:
    type: str = strawberry.field(
        description="1 to 64 small letters, digits, `_`, `.`, `:` or `-`, such as `page`, `purchase` or `support`."
    )
    properties: JSON | None = strawberry.field(
        default=None,
        description="An object of names and values, 32 KiB at most. Its `value`, else its `revenue`, is added up.",
    )


@strawberry.input(
    description="A source's dated claim that these identifiers, and perhaps some traits, are one person's."
)
class ObservationInput:
    id: strawberry.ID = strawberry.field(
        description="Names the observation for ever: sent again with the same content it changes nothing."
    )
    source: str = strawberry.field(description="The system that says so, such as `crm` or `web`.")
    record_id: strawberry.ID | None = strawberry.field(
        default=None, description="The source's own id of the record that `traits` replaces."
    )
    observed_at: DateTime | None = strawberry.field(default=None, description="When it was seen; now if left out.")
    identifiers: list[IdentifierInput] = strawberry.field(
        default_factory=list[IdentifierInput], description="20 at most. May be empty where there is a `recordId`."
    )
    traits: JSON | None = strawberry.field(default=None, description="An object of names and values, 32 KiB at most.")
    event: EventInput | None = strawberry.field(
        default=None, description="An event of the person, dated by `observedAt`."
    )


@strawberry.input
class SubmitLinksInput:
    observations: list[ObservationInput] = strawberry.field(description="1 to 500, each taken on its own.")
    dry_run: bool = strawberry.field(default=False, description="Say what would happen, and write nothing.")


def _identifier(cls: type[IdentifierInput], value: Mapping[str, Any], _: InputContext) -> IdentifierInput:
    return cls(namespace=value["namespace"], value=value["value"])


def _raw(_cls: type, value: Mapping[str, Any], _: InputContext) -> Mapping[str, Any]:
    """Observations go to the intake as they came: it checks them one by one, so a bad one spoils no other."""
    return value


def _submit_links(cls: type[SubmitLinksInput], value: Mapping[str, Any], _: InputContext) -> SubmitLinksInput:
    return cls(observations=value["observations"], dry_run=value["dryRun"])


get_object_definition(SubmitLinksInput, strict=True).from_input = _submit_links
get_object_definition(IdentifierInput, strict=True).from_input = _identifier
get_object_definition(ObservationInput, strict=True).from_input = _raw
