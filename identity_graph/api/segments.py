"""Segments in GraphQL."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import orjson
import strawberry
from strawberry.types.arguments import InputContext
from strawberry.types.base import get_object_definition

from identity_graph.api.errors import ApiError, BadInput, Rendering, RequestTimedOut
from identity_graph.api.keys import Scope
from identity_graph.api.limits import LENGTH
from identity_graph.api.scalars import JSON, DateTime, from_cursor, moment, raw_json, to_cursor
from identity_graph.api.types import After, Edge, First, Info, PageInfo, Profile, page_size
from identity_graph.domain.rules import NamespaceClass
from identity_graph.domain.segments import InvalidRule
from identity_graph.services import segments as service
from identity_graph.services.catalogue import Kind
from identity_graph.services.lookup import Freshness

T = TypeVar("T")

#: Seconds for which a definition is waited for; it goes on by itself, and the request must be answered.
PATIENCE = 7.0
MAX_SAMPLE = 100
#: A graph has some dozens of segments, a rule some dozens of conditions.
MANY = {LENGTH: 50}

strawberry.enum(NamespaceClass, description="What the identifiers of a namespace point at.")


class UnusableRule(ApiError):
    """A rule or a segment's name that cannot be used, where the answer has no place for it."""

    def __init__(self, error: InvalidRule) -> None:
        super().__init__(f"{'.'.join(error.path)}: {error}" if error.path else str(error))
        self.rendering = Rendering(error.code, 400)


@strawberry.input(description="A trait of the golden record satisfies every operator that is given. Nested ones are "
                              "named with dots, as in `address.city`. Aggregates are traits too: `first_seen`, "
                              "`last_seen`, `last_purchase`, `lifetime_value` and `favourite_channel`, unless a source "
                              "or a person says something else of that name.")  # fmt: skip
class TraitConditionInput:
    name: str
    equals: JSON | None = strawberry.field(default=None, description="A text, number or boolean.")
    not_equals: JSON | None = strawberry.field(default=None, description="It is there, and differs.")
    in_: list[JSON] | None = strawberry.field(default=None, name="in", description="One of these, 1,000 at most.")
    contains: JSON | None = strawberry.field(default=None, description="Part of a text, or a value of a list.")
    starts_with: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    greater_than: float | None = None
    less_than: float | None = None
    exists: bool | None = None
    before: str | None = strawberry.field(default=None, description="An ISO 8601 date, with or without a time.")
    after: str | None = None
    within_days: float | None = strawberry.field(default=None, description="A date so many days ago at most.")


@strawberry.input(description="How many identifiers the profile has; one at least, where no bound is given.")
class IdentifiersConditionInput:
    namespace: str | None = None
    namespace_class: NamespaceClass | None = None
    at_least: int | None = None
    at_most: int | None = None


@strawberry.input(description="When any of the profile's identifiers was last seen.")
class SeenConditionInput:
    within_days: float | None = None
    before: str | None = None
    after: str | None = None


@strawberry.input
class CountInput:
    at_least: int | None = None
    at_most: int | None = None


@strawberry.input(description="To four decimals.")
class SumInput:
    at_least: float | None = None
    at_most: float | None = None


@strawberry.input(description="How many events of a type there were; one at least, where no count is given.")
class EventsConditionInput:
    type: str
    count: CountInput | None = strawberry.field(default=None, description="Of a number of days 1,000 at most.")
    sum: SumInput | None = strawberry.field(
        default=None,
        description="Of their `value`, else `revenue`; of a number of days of the latest 10,000 events an identifier.",
    )
    within_days: float | None = strawberry.field(default=None, description="Only those of the last days.")


@strawberry.input(description="The profile satisfies the rule of another segment.")
class SegmentConditionInput:
    name: str


@strawberry.input(one_of=True, description="A condition, or several. What a profile lacks satisfies no condition.")
class SegmentRuleInput:
    all: "list[SegmentRuleInput] | None" = strawberry.UNSET
    any: "list[SegmentRuleInput] | None" = strawberry.UNSET
    not_: "SegmentRuleInput | None" = strawberry.field(name="not", default=strawberry.UNSET)
    trait: TraitConditionInput | None = strawberry.UNSET
    identifiers: IdentifiersConditionInput | None = strawberry.UNSET
    seen: SeenConditionInput | None = strawberry.UNSET
    events: EventsConditionInput | None = strawberry.UNSET
    segment: SegmentConditionInput | None = strawberry.UNSET


def _raw(_cls: type, value: Mapping[str, Any], _: InputContext) -> Mapping[str, Any]:
    """Rules go to the domain as they came: it reads them from the command line alike."""
    return value


get_object_definition(SegmentRuleInput, strict=True).from_input = _raw


@strawberry.input
class DefineSegmentInput:
    name: str
    rule: SegmentRuleInput
    description: str = ""
    expected_version: int | None = strawberry.field(
        default=None, description="The version that is replaced. Without it a name that is in use is refused."
    )
    dry_run: bool = strawberry.field(default=False, description="Say what would happen, and write nothing.")


@strawberry.input
class DeleteSegmentInput:
    name: str
    dry_run: bool = strawberry.field(default=False, description="Say what would happen, and write nothing.")


@strawberry.type(description="A profile that satisfies the rule, and since when.")
class SegmentMemberEdge:
    cursor: str
    node: Profile
    entered_at: DateTime


@strawberry.type
class SegmentMembers:
    edges: list[SegmentMemberEdge]
    page_info: PageInfo
    total_count: int


@strawberry.type(description="A profile entered or left.")
class SegmentChange:
    kind: str = strawberry.field(description="ENTERED or LEFT.")
    at: DateTime
    profile_id: strawberry.ID


@strawberry.type
class SegmentChanges:
    edges: list[Edge[SegmentChange]]
    page_info: PageInfo


@strawberry.type(description="A definition that a segment has or had.")
class SegmentVersion:
    version: int
    description: str
    rule: JSON
    defined_at: DateTime
    defined_by: str


@strawberry.type(description="A rule, and the profiles that satisfy it now.")
class Segment:
    name: str
    version: int = strawberry.field(description="Counts its definitions.")
    description: str
    rule: JSON
    size: int = strawberry.field(description="How many members it has.")
    defined_at: DateTime
    defined_by: str
    fresh: strawberry.Private[Freshness]

    @classmethod
    def of(cls, found: service.Segment, fresh: Freshness) -> "Segment":
        return cls(
            name=found.name,
            version=found.version,
            description=found.description,
            rule=raw_json(found.rule or "null"),
            size=found.size,
            defined_at=moment(found.defined_at),
            defined_by=found.defined_by,
            fresh=fresh,
        )

    @strawberry.field(description="In the order of their ids.")
    async def members(self, info: Info, first: First = 50, after: After = None) -> SegmentMembers:
        info.context.require(Scope.READ)
        start: str = "" if after is None else from_cursor(after, str)[0]
        found, more, total = await asyncio.to_thread(
            info.context.services.segments.members, self.name, page_size(first), start, self.fresh
        )
        edges = [
            SegmentMemberEdge(
                cursor=to_cursor(id),
                node=Profile(id=strawberry.ID(id), fresh=self.fresh),
                entered_at=moment(entered),
            )
            for id, entered in found
        ]
        end = edges[-1].cursor if edges else None
        return SegmentMembers(edges=edges, page_info=PageInfo(has_next_page=more, end_cursor=end), total_count=total)

    @strawberry.field(
        description="Every definition that a segment of this name ever had, the latest first.", metadata=MANY
    )
    async def versions(self, info: Info) -> list[SegmentVersion]:
        info.context.require(Scope.READ)
        found = await asyncio.to_thread(info.context.services.segments.versions, self.name, self.fresh)
        return [
            SegmentVersion(
                version=one.version,
                description=one.description,
                rule=raw_json(one.rule),
                defined_at=moment(one.defined_at),
                defined_by=one.defined_by,
            )
            for one in found
        ]

    @strawberry.field(description="Who entered and left, the latest first; of deleted memberships too.")
    async def changes(self, info: Info, first: First = 50, after: After = None) -> SegmentChanges:
        info.context.require(Scope.READ)
        before: str = "~" if after is None else from_cursor(after, str)[0]
        found, more = await asyncio.to_thread(
            info.context.services.segments.changes, self.name, page_size(first), before, self.fresh
        )
        edges = [
            Edge(cursor=to_cursor(id), node=SegmentChange(kind=kind, at=moment(at), profile_id=strawberry.ID(profile)))
            for id, profile, kind, at in found
        ]
        end = edges[-1].cursor if edges else None
        return SegmentChanges(edges=edges, page_info=PageInfo(has_next_page=more, end_cursor=end))


@strawberry.type(description="How many profiles satisfy a rule now, and some of them.")
class SegmentPreview:
    size: int
    sample: list[Profile]


@strawberry.type(description="One condition of a rule, as it came out for a profile.")
class MembershipCondition:
    path: list[str] = strawberry.field(description="Where it is in the rule.", metadata={LENGTH: 1})
    condition: str = strawberry.field(description="In words.")
    holds: bool
    actual: JSON | None = strawberry.field(description="What the profile has.")


@strawberry.type(description="Why a profile is a member of a segment, or not.")
class MembershipExplanation:
    is_member: bool
    profile: Profile
    conditions: list[MembershipCondition] = strawberry.field(
        description="Every condition, a group before its parts.", metadata=MANY
    )
    turns_at: DateTime | None = strawberry.field(description="When time alone will change it; null for never.")


@strawberry.type(description="What is wrong with a rule or a request; `code` says why and `path` leads to it.")
class SegmentRejected:
    code: str
    message: str
    path: list[str]

    @classmethod
    def of(cls, error: InvalidRule) -> "SegmentRejected":
        return cls(code=error.code, message=str(error), path=list(error.path))


@strawberry.type(description="The segment is defined, and its members are in it.")
class SegmentDefined:
    segment: Segment
    remarks: list[SegmentRejected] = strawberry.field(
        description="What it asks that nobody can answer yet, such as `UNKNOWN_TRAIT`.", metadata={LENGTH: 1}
    )


@strawberry.type
class SegmentDeleted:
    name: str


DefineSegmentOutcome = Annotated[SegmentDefined | SegmentRejected, strawberry.union("DefineSegmentOutcome")]
DeleteSegmentOutcome = Annotated[SegmentDeleted | SegmentRejected, strawberry.union("DeleteSegmentOutcome")]


#: Of the tokens of writes.
SEES_IT = "Sent as `X-Consistency-Token`, it makes a read see what was done. Empty where nothing was."


@strawberry.type
class DefineSegmentPayload:
    consistency_token: str = strawberry.field(description=SEES_IT)
    outcome: DefineSegmentOutcome


@strawberry.type
class DeleteSegmentPayload:
    consistency_token: str = strawberry.field(description=SEES_IT)
    outcome: DeleteSegmentOutcome


async def _for_a_while(work: Callable[..., T], *given: Any, **named: Any) -> T | None:
    """What ``work`` returns, in a thread; None where it takes longer than a request may: it goes on then."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.to_thread(work, *given, **named)), PATIENCE)
    except TimeoutError:
        return None


strawberry.enum(
    Kind,
    name="TraitKind",
    description="Who says a trait: sources, the events of a person by what they add up to, or a model.",
)


@strawberry.type(description="A trait that segments can ask for or sources gave, nested ones by dots.")
class CataloguedTrait:
    name: str
    kind: Kind
    types: list[str] = strawberry.field(metadata={LENGTH: 1})
    sources: list[str] = strawberry.field(description="Of an aggregate, those that say something else of its name.")
    searchable: bool = strawberry.field(description="Whether segments can ask for it: its name must be a plain one.")
    fill_rate: float = strawberry.field(description="The part of profiles that have it, as of 20,000 of them.")
    examples: list[str] = strawberry.field(
        description="Masked for everybody: only the shape is kept.", metadata={LENGTH: 1}
    )


@strawberry.type(description="A source with more names of traits than are taken.")
class FullSource:
    source: str
    left_out: int = strawberry.field(description="How many values of further names were left out so far.")


@strawberry.type(description="The traits that there are.")
class TraitCatalogue:
    traits: list[CataloguedTrait] = strawberry.field(metadata=MANY)
    full_sources: list[FullSource] = strawberry.field(
        description="Sources with more names of traits than the rules take, 1,000 if they say nothing else; what came "
        "later stays in their records only.",
        metadata={LENGTH: 1},
    )


@strawberry.type
class SegmentQuery:
    @strawberry.field(description="Which traits are there, of which types, from whom, and how often?")
    async def trait_catalogue(self, info: Info) -> TraitCatalogue:
        traits, full = await asyncio.to_thread(info.context.services.segments.catalogue, info.context.fresh())
        return TraitCatalogue(
            traits=[
                CataloguedTrait(
                    name=one.name,
                    kind=one.kind,
                    types=one.types,
                    sources=one.sources,
                    searchable=one.searchable,
                    fill_rate=one.fill_rate,
                    examples=one.examples,
                )
                for one in traits
            ],
            full_sources=[FullSource(source=source, left_out=many) for source, many in full.items()],
        )

    @strawberry.field(description="All segments by name.", metadata=MANY)
    async def segments(self, info: Info) -> list[Segment]:
        fresh = info.context.fresh()
        found = await asyncio.to_thread(info.context.services.segments.all, fresh)
        return [Segment.of(one, fresh) for one in found]

    @strawberry.field(description="A segment by its name.")
    async def segment(self, info: Info, name: str) -> Segment | None:
        fresh = info.context.fresh()
        found = await asyncio.to_thread(info.context.services.segments.one, name, fresh)
        return Segment.of(found, fresh) if found else None

    @strawberry.field(description="Who would be in a segment of this rule?")
    async def preview_segment(self, info: Info, rule: SegmentRuleInput, sample: int = 5) -> SegmentPreview:
        if not 0 <= sample <= MAX_SAMPLE:
            raise BadInput(f"sample must lie between 0 and {MAX_SAMPLE}")
        fresh = info.context.fresh()
        try:
            size, ids = await asyncio.to_thread(info.context.services.segments.preview, rule, sample, fresh)
        except InvalidRule as e:
            raise UnusableRule(e) from None
        return SegmentPreview(size=size, sample=[Profile(id=strawberry.ID(id), fresh=fresh) for id in ids])

    @strawberry.field(description="Why is this profile a member of the segment, or why not? Null for no such profile.")
    async def explain_membership(
        self, info: Info, segment: str, profile_id: strawberry.ID
    ) -> MembershipExplanation | None:
        fresh = info.context.fresh()
        try:
            found = await asyncio.to_thread(info.context.services.segments.explain, segment, profile_id, fresh)
        except InvalidRule as e:
            raise UnusableRule(e) from None
        if found is None:
            return None
        return MembershipExplanation(
            is_member=found.is_member,
            profile=Profile(id=strawberry.ID(found.profile), fresh=fresh),
            conditions=[
                MembershipCondition(
                    path=list(one.path),
                    condition=one.words,
                    holds=one.holds,
                    actual=None if one.actual is None else raw_json(orjson.dumps(one.actual)),
                )
                for one in found.conditions
            ],
            turns_at=None if found.turns_at is None else moment(found.turns_at),
        )


@strawberry.type
class SegmentMutation:
    @strawberry.mutation(description="Define a segment, or define it anew. Its members follow the data from then on.")
    async def define_segment(self, info: Info, input: DefineSegmentInput) -> DefineSegmentPayload:
        segments, actor = info.context.services.segments, info.context.caller.name
        try:
            defined = await _for_a_while(
                segments.define,
                input.name,
                input.description,
                input.rule,
                actor,
                expected_version=input.expected_version,
                dry_run=input.dry_run,
            )
        except InvalidRule as e:
            return DefineSegmentPayload(consistency_token="", outcome=SegmentRejected.of(e))
        segment, token = defined or await asyncio.to_thread(segments.latest, input.name)
        if segment is None:
            raise RequestTimedOut("the segment is still being defined; look for it in a moment")
        remarks = [SegmentRejected.of(one) for one in await asyncio.to_thread(segments.remarks, input.rule)]
        outcome = SegmentDefined(segment=Segment.of(segment, Freshness(token=token or None)), remarks=remarks)
        return DefineSegmentPayload(consistency_token=token, outcome=outcome)

    @strawberry.mutation(description="Delete a segment that no other one names. Who was in it stays on record.")
    async def delete_segment(self, info: Info, input: DeleteSegmentInput) -> DeleteSegmentPayload:
        try:
            token = await _for_a_while(info.context.services.segments.delete, input.name, dry_run=input.dry_run)
        except InvalidRule as e:
            return DeleteSegmentPayload(consistency_token="", outcome=SegmentRejected.of(e))
        if token is None:
            _, token = await asyncio.to_thread(info.context.services.segments.latest, input.name)
        return DeleteSegmentPayload(consistency_token=token, outcome=SegmentDeleted(name=input.name))
