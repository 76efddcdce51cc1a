"""The types of the schema that reads return. Most fields are plain attributes; what costs a query is a method."""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

import orjson
import strawberry

from identity_graph.api.context import Context
from identity_graph.api.errors import BadInput
from identity_graph.api.execution import at_hand
from identity_graph.api.keys import Scope
from identity_graph.api.limits import LENGTH
from identity_graph.api.scalars import JSON, DateTime, from_cursor, microseconds, moment, raw_json, to_cursor
from identity_graph.domain.decision import ProfileRef
from identity_graph.domain.decision import RefusedLink as _RefusedLink
from identity_graph.domain.events import DAY, UNIT
from identity_graph.domain.events import TYPE as EVENT_TYPE
from identity_graph.domain.events import Aggregates as _Aggregates
from identity_graph.domain.evidence import LinkKind, RefusalCode
from identity_graph.domain.identifiers import split_key
from identity_graph.domain.paths import match_probability
from identity_graph.domain.search import masked
from identity_graph.domain.survivorship import GoldenTrait as _GoldenTrait
from identity_graph.domain.survivorship import TraitValue
from identity_graph.domain.traits import type_of
from identity_graph.services.audit import show
from identity_graph.services.journey import EventPage, EventRow, Some
from identity_graph.services.lookup import END_OF_TIME, Freshness, Status
from identity_graph.services.profiles import (
    MAX_PAGE,
    ChangeRow,
    DeviceRow,
    LinkRow,
    Member,
    MergeRow,
    ProfileState,
    RecordRow,
)
from identity_graph.services.search import Hit
from identity_graph.services.submit import now

#: Events of a page where nothing says how many, types that may be asked for at once, and days of a window.
PAGE, MOST_TYPES, MOST_DAYS = 20, 50, 36_500

Info: TypeAlias = strawberry.Info[Context, None]
T = TypeVar("T")

First = Annotated[int, strawberry.argument(description="How many to return, 1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="Return what follows this cursor, an `endCursor`.")]
FIRST_SEEN = "With `asOf` as it was known then. Null where no source saw it."
LAST_SEEN = "With `asOf` as it was known then. Null where no source saw it, or where it changed since."
LINK_SEEN = "Null with `asOf`: it is not kept what it was."
AsOf = Annotated[DateTime | None, strawberry.argument(description="Answer from the past: who was this at that moment?")]

strawberry.enum(Status, name="IdentifierStatus", description="What is known of an identifier.")
strawberry.enum(LinkKind, description="Seen together, matched by the model, or asserted by a person.")
strawberry.enum(RefusalCode, description="Why a link does not conduct.")


@strawberry.enum(description="Whether a profile stands for somebody now.")
class ProfileStatus(Enum):
    ACTIVE = "ACTIVE"
    MERGED = "MERGED"
    ERASED = "ERASED"


@strawberry.enum(description="A shared identifier is used by too many people to say who it is; a blocked one is junk.")
class IdentifierState(Enum):
    ACTIVE = "ACTIVE"
    SHARED = "SHARED"
    BLOCKED = "BLOCKED"


@strawberry.enum(description="A refused link is kept, but joins nobody; a proposed one waits for a decision.")
class LinkState(Enum):
    ACTIVE = "ACTIVE"
    REFUSED = "REFUSED"
    PROPOSED = "PROPOSED"
    RETRACTED = "RETRACTED"


@strawberry.enum(
    description="What happened to a profile, also to one of its links, or to identifiers that became junk or are so no "
    "more. To the graph as a whole: other rules, another model."
)
class ChangeKind(Enum):
    CREATED = "CREATED"
    MERGED = "MERGED"
    SPLIT = "SPLIT"
    MOVED = "MOVED"
    CANNOT_LINK_SET = "CANNOT_LINK_SET"
    CANNOT_LINK_REMOVED = "CANNOT_LINK_REMOVED"
    OVERRIDE_SET = "OVERRIDE_SET"
    OVERRIDE_REMOVED = "OVERRIDE_REMOVED"
    LINK_ASSERTED = "LINK_ASSERTED"
    LINK_WITHDRAWN = "LINK_WITHDRAWN"
    RETRACTED = "RETRACTED"
    RESTORED = "RESTORED"
    LINK_REFUSED = "LINK_REFUSED"
    LINK_ACCEPTED = "LINK_ACCEPTED"
    BLOCKED = "BLOCKED"
    UNBLOCKED = "UNBLOCKED"
    RULES_CHANGED = "RULES_CHANGED"
    MODEL_CHANGED = "MODEL_CHANGED"


@strawberry.enum(
    description="The part a profile played: it stayed or ended in a merge, gave or took identifiers, was made, came "
    "back after a merge was undone, or is a party to a cannot-link, an override, a retraction, a link or what became "
    "junk."
)
class ParticipantRole(Enum):
    SURVIVOR = "SURVIVOR"
    MERGED = "MERGED"
    SOURCE = "SOURCE"
    TARGET = "TARGET"
    CREATED = "CREATED"
    RESTORED = "RESTORED"
    PARTY = "PARTY"


@strawberry.interface(description="Anything with a durable id, see `node`.")
class Node:
    id: strawberry.ID


@strawberry.type(description="Where a page begins and ends, and whether there is more on either side.")
class PageInfo:
    has_next_page: bool
    end_cursor: str | None
    has_previous_page: bool = strawberry.field(
        default=False, description="Only told by lists that can be read both ways, else false."
    )
    start_cursor: str | None = None


@strawberry.type
class Edge(Generic[T]):
    cursor: str
    node: T


@strawberry.type
class Connection(Generic[T]):
    """A page of a list; ``cursors`` has one for each node."""

    edges: list[Edge[T]]
    page_info: PageInfo
    total_count: int

    @classmethod
    def of(cls, nodes: list[T], cursors: list[str], more: bool, total: int) -> "Connection[T]":
        edges = [Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
        return cls(
            edges=edges,
            page_info=PageInfo(
                has_next_page=more,
                end_cursor=cursors[-1] if cursors else None,
                start_cursor=cursors[0] if cursors else None,
            ),
            total_count=total,
        )


def page_size(size: int, argument: str = "first") -> int:
    if not 1 <= size <= MAX_PAGE:
        raise BadInput(f"{argument} must lie between 1 and {MAX_PAGE}")
    return size


@strawberry.type(description="One normalised value in one namespace.")
class Identifier:
    namespace: str
    value: str

    @classmethod
    def of(cls, key: str) -> "Identifier":
        namespace, value = split_key(key)
        return cls(namespace=namespace, value=value)


@strawberry.type(description="An identifier of a profile, and when and by whom it was seen.")
class ProfileIdentifier:
    namespace: str
    value: str
    is_device: bool
    first_seen_at: DateTime | None = strawberry.field(description=FIRST_SEEN)
    last_seen_at: DateTime | None = strawberry.field(description=LAST_SEEN)
    sources: list[str]
    state: IdentifierState

    @classmethod
    def of(cls, row: Member) -> "ProfileIdentifier":
        namespace, value = split_key(row.key)
        return cls(
            namespace=namespace,
            value=value,
            is_device=row.is_device,
            first_seen_at=_moment(row.first_seen),
            last_seen_at=_moment(row.last_seen),
            sources=row.sources,
            state=IdentifierState(row.state),
        )


@strawberry.type(description="One row of a source about a person, with its traits as submitted.")
class Record:
    source: str
    record_id: strawberry.ID | None
    traits: JSON
    observed_at: DateTime

    @classmethod
    def of(cls, row: RecordRow) -> "Record":
        record_id = None if row.record_id is None else strawberry.ID(row.record_id)
        return cls(
            source=row.source, record_id=record_id, traits=raw_json(row.traits), observed_at=moment(row.observed_at)
        )


@strawberry.type(description="A value that did not survive.")
class TraitAlternative:
    value: JSON
    source: str
    record_id: strawberry.ID | None
    observed_at: DateTime

    @classmethod
    def of(cls, said: TraitValue) -> "TraitAlternative":
        return cls(
            value=raw_json(orjson.dumps(said.value)),
            source=said.source,
            record_id=_record_id(said),
            observed_at=moment(said.observed_at),
        )


def _record_id(said: TraitValue) -> strawberry.ID | None:
    """The source's own id of a record, where it gave one."""
    own, record_id = said.record.startswith(f"{said.source}/"), said.record[len(said.source) + 1 :]
    return strawberry.ID(record_id) if own else None


@strawberry.type(description="A trait of the golden record: the value that survived, by which rule, and the others.")
class GoldenTrait:
    name: str
    value: JSON
    source: str
    record_id: strawberry.ID | None = strawberry.field(description="Of the record that says so, where it has one.")
    observed_at: DateTime
    rule: str = strawberry.field(
        description="The criterion that decided, `newest` where none of the rules file did, `override` for a person's "
        "word, or `aggregate` for what events and observations add up to, as of the last that counts, `observedAt`."
    )
    type: str = strawberry.field(description="TEXT, NUMBER, BOOLEAN, DATE, LIST or OBJECT.")
    reason: str | None = strawberry.field(description="Why a person says so.")
    alternatives: list[TraitAlternative]

    @classmethod
    def of(cls, trait: _GoldenTrait) -> "GoldenTrait":
        chosen = trait.chosen
        return cls(
            name=trait.name,
            value=raw_json(orjson.dumps(chosen.value)),
            source=chosen.source,
            record_id=_record_id(chosen),
            observed_at=moment(chosen.observed_at),
            rule=trait.rule,
            type=type_of(chosen.value),
            reason=chosen.reason,
            alternatives=[TraitAlternative.of(said) for said in trait.alternatives],
        )


@strawberry.type(description="A segment that the profile is a member of.")
class ProfileSegment:
    name: str
    entered_at: DateTime


@strawberry.type(description="How one comparison of two records came out, and what that weighs.")
class ComparisonLevel:
    comparison: str
    level: str
    match_weight: float = strawberry.field(description="In bits: above 0 it speaks for one person, below 0 against it.")


@strawberry.type(description="What the model says of two records.")
class MatchEvidence:
    model_version: str
    match_weight: float = strawberry.field(description="log2 of the odds: the prior's weight plus that of each level.")
    match_probability: float = strawberry.field(description="2^weight / (1 + 2^weight).")
    levels: list[ComparisonLevel]


@strawberry.type(description="An edge of the evidence: a claim that two identifiers belong together.")
class Link(Node):
    kind: LinkKind
    source: str
    state: LinkState = strawberry.field(description="As it is now, also with `asOf`.")
    first_seen_at: DateTime | None = strawberry.field(description=LINK_SEEN)
    last_seen_at: DateTime | None = strawberry.field(description=LINK_SEEN)
    count: int | None = strawberry.field(description=LINK_SEEN)
    from_: Identifier = strawberry.field(name="from")
    to: Identifier
    match_weight: float | None = strawberry.field(description="log2 of the Bayes factor, of a matched link.")
    match_probability: float | None = strawberry.field(description="2^weight / (1 + 2^weight), of a matched link.")
    evidence: MatchEvidence | None = strawberry.field(description="Of a matched link.")

    @classmethod
    def of(cls, row: LinkRow) -> "Link":
        return cls(
            id=strawberry.ID(row.id),
            kind=LinkKind(row.kind),
            source=row.source,
            state=LinkState(row.state),
            first_seen_at=_moment(row.first_seen),
            last_seen_at=_moment(row.last_seen),
            count=row.count,
            from_=Identifier.of(row.a),
            to=Identifier.of(row.b),
            match_weight=row.weight,
            match_probability=None if row.weight is None else match_probability(row.weight),
            evidence=_evidence(row),
        )


@strawberry.type(description="A link that was kept, but joins nobody.")
class RefusedLink:
    from_: Identifier = strawberry.field(name="from")
    to: Identifier
    code: RefusalCode
    message: str

    @classmethod
    def of(cls, link: _RefusedLink) -> "RefusedLink":
        refusal = link.refusal
        return cls(from_=Identifier.of(link.a), to=Identifier.of(link.b), code=refusal.code, message=refusal.message)


def _evidence(row: LinkRow) -> MatchEvidence | None:
    if row.weight is None:
        return None
    return MatchEvidence(
        model_version=row.source,
        match_weight=row.weight,
        match_probability=match_probability(row.weight),
        levels=[
            ComparisonLevel(comparison=comparison, level=level, match_weight=weight)
            for comparison, level, weight in orjson.loads(row.levels or "[]")
        ],
    )


@strawberry.type(description="A link brought it about, by an observation.")
class LinkCause:
    observation_id: strawberry.ID | None
    link_id: strawberry.Private[str | None]
    row: strawberry.Private[LinkRow | None] = None

    @strawberry.field(
        description="Null where one identifier alone made itself known.",
        metadata=at_hand(lambda cause: cause.known()),
    )
    async def link(self, info: Info) -> Link | None:
        if self.link_id and not self.row:
            self.row = await info.context.services.profiles.link(self.link_id, info.context.fresh())
        return Link.of(self.row) if self.row else None

    def known(self) -> Link | None:
        if self.link_id is None:
            return None
        if self.row is None:
            raise LookupError("not read yet")
        return Link.of(self.row)


@strawberry.type(description="A person decided it.")
class StewardCause:
    actor: str
    reason: str


@strawberry.type(description="A change of the rules brought it about.")
class RulesCause:
    rules_version: str
    actor: str
    reason: str


@strawberry.type(description="Another model was activated, or with null none any more.")
class ModelCause:
    model_version: strawberry.ID | None
    actor: str
    reason: str


ChangeCause = Annotated[
    LinkCause | StewardCause | RulesCause | ModelCause,
    strawberry.union("ChangeCause", description="Why a profile changed."),
]


@strawberry.type(description="A profile's part in a change.")
class Participant:
    profile_id: strawberry.ID
    role: ParticipantRole


@strawberry.type(description="One entry of a lineage, with its cause.")
class Change(Node):
    """Where its ``row`` has yet to be read, a field of it is a promise, which GraphQL takes as well."""

    kind: ChangeKind
    row: strawberry.Private[ChangeRow | None] = None
    token: strawberry.Private[str | None] = None
    known: strawberry.Private[Sequence[tuple[str, str]] | None] = None

    @strawberry.field(metadata=at_hand(lambda change: change.moment()))
    def at(self, info: Info) -> DateTime:
        return self._when_read(info, Change.moment)

    @strawberry.field(metadata=at_hand(lambda change: change.parties()))
    def participants(self, info: Info) -> list[Participant]:
        return self.parties() if self.known is not None else self._when_read(info, Change.parties)

    @strawberry.field(metadata=at_hand(lambda change: change.moved()))
    def moved_identifiers(self, info: Info) -> list[Identifier]:
        return self._when_read(info, Change.moved)

    @strawberry.field(metadata=at_hand(lambda change: change.why()))
    def cause(self, info: Info) -> ChangeCause:
        return self._when_read(info, Change.why)

    @classmethod
    def of(cls, row: ChangeRow) -> "Change":
        return cls(id=strawberry.ID(row.id), kind=ChangeKind(row.kind), row=row)

    def _when_read(self, info: Info, tell: "Callable[[Change], T]") -> T:
        info.context.require(Scope.READ)
        return tell(self) if self.row else cast(T, self._read(info, tell))

    async def _read(self, info: Info, tell: "Callable[[Change], T]") -> T:
        self.row = await info.context.services.profiles.change(
            self.id, Freshness(token=self.token or info.context.token)
        )
        if self.row is None:
            raise BadInput(f"there is no change {self.id}: a dry run makes none")
        return tell(self)

    def _told(self) -> ChangeRow:
        if self.row is None:
            raise LookupError("not read yet")
        return self.row

    def moment(self) -> DateTime:
        return moment(self._told().at)

    def parties(self) -> list[Participant]:
        told = self._told().parties if self.known is None else self.known
        return [Participant(profile_id=strawberry.ID(id), role=ParticipantRole(role)) for id, role in told]

    def moved(self) -> list[Identifier]:
        return [Identifier.of(key) for key in self._told().moved]

    def why(self) -> "StewardCause | RulesCause | ModelCause | LinkCause":
        row = self._told()
        if row.cause == "STEWARD":
            return StewardCause(actor=row.actor or "", reason=row.reason or "")
        if row.cause == "RULES":
            return RulesCause(rules_version=row.version or "", actor=row.actor or "", reason=row.reason or "")
        if row.cause == "MODEL":
            version = None if row.version is None else strawberry.ID(row.version)
            return ModelCause(model_version=version, actor=row.actor or "", reason=row.reason or "")
        observation = None if row.observation is None else strawberry.ID(row.observation)
        return LinkCause(observation_id=observation, link_id=row.link, row=row.by)


@strawberry.type(description="Something that a person did.")
class Event:
    id: strawberry.ID = strawberry.field(description="The id of the observation that told of it.")
    type: str
    at: DateTime
    source: str
    identifier: Identifier = strawberry.field(description="The identifier of the person that the event belongs to.")
    device: Identifier | None = strawberry.field(description="The device that it was observed on, if any.")
    properties: JSON

    @classmethod
    def of(cls, row: EventRow) -> "Event":
        return cls(
            id=strawberry.ID(row.id),
            type=row.type,
            at=moment(row.at),
            source=row.source,
            identifier=Identifier.of(row.by),
            device=Identifier.of(row.device) if row.device else None,
            properties=raw_json(row.properties),
        )


@strawberry.type(description="A page of a journey. How long the whole is, `aggregates` tells.")
class Journey:
    edges: list[Edge[Event]] = strawberry.field(metadata={LENGTH: PAGE})
    page_info: PageInfo

    @classmethod
    def of(cls, page: EventPage, *, back: bool, inside: bool) -> "Journey":
        """``inside``: it was read from a cursor on, so there is something on the side it came from."""
        cursors = [to_cursor(row.at, row.id) for row in page.items]
        edges = [Edge(cursor=c, node=Event.of(row)) for c, row in zip(cursors, page.items, strict=True)]
        ends = (cursors[0], cursors[-1]) if cursors else (None, None)
        before, beyond = (page.more, inside) if back else (inside, page.more)
        return cls(
            edges=edges,
            page_info=PageInfo(
                has_next_page=beyond, end_cursor=ends[1], has_previous_page=before, start_cursor=ends[0]
            ),
        )


@strawberry.type(description="The events of one type.")
class EventTotal:
    type: str
    count: int
    first_at: DateTime
    last_at: DateTime
    sum: float = strawberry.field(description="Of their `value`, else `revenue`, to four decimals.")
    sources: list[str]


@strawberry.type(description="What the events of a person add up to, kept up to date as they arrive.")
class Aggregates:
    first_seen_at: DateTime | None = strawberry.field(description="The first observation of any of the identifiers.")
    last_seen_at: DateTime | None = strawberry.field(
        description="The last one. Null with `asOf`, where one of them was seen since: it is not kept when before."
    )
    events: list[EventTotal] = strawberry.field(description="By type.")
    lifetime_value: float = strawberry.field(description="The sum of all events of the type `purchase`.")
    last_purchase_at: DateTime | None
    favourite_channel: str | None = strawberry.field(description="The source of most events.")
    rule: str = "aggregate"

    @classmethod
    def of(cls, found: _Aggregates) -> "Aggregates":
        return cls(
            first_seen_at=_moment(found.first_seen),
            last_seen_at=_moment(found.last_seen),
            events=[
                EventTotal(
                    type=total.type,
                    count=total.count,
                    first_at=moment(total.first),
                    last_at=moment(total.last),
                    sum=total.amount / UNIT,
                    sources=list(total.sources),
                )
                for total in found.totals
            ],
            lifetime_value=found.lifetime_value / UNIT,
            last_purchase_at=_moment(found.last_purchase),
            favourite_channel=found.favourite_channel,
        )


def _moment(at: int | None) -> DateTime | None:
    return None if at is None else moment(at)


def _events(types: list[str] | None, since: str | None, until: str | None) -> Some:
    for type in types or ():
        if not EVENT_TYPE.fullmatch(type):
            raise BadInput("types must name event types of 1 to 64 small letters, digits, '_', '.', ':' or '-'")
    if len(types or ()) > MOST_TYPES:
        raise BadInput(f"types has at most {MOST_TYPES} items")
    start, end = microseconds(since, "from"), microseconds(until, "to")
    return Some(tuple(types or ()), 0 if start is None else start, END_OF_TIME if end is None else end)


@strawberry.type(description="One merge in a profile's ancestry: follow `into` to its root, the profile itself.")
class MergeTreeNode:
    profile_id: strawberry.ID = strawberry.field(description="The profile that ended.")
    into: strawberry.ID = strawberry.field(description="The one that it became part of then.")
    created_at: DateTime
    merged_at: DateTime
    moved: int = strawberry.field(description="How many identifiers it brought.")
    change: Change

    @classmethod
    def of(cls, row: MergeRow) -> "MergeTreeNode":
        return cls(
            profile_id=strawberry.ID(row.ended),
            into=strawberry.ID(row.into),
            created_at=moment(row.created_at),
            merged_at=moment(row.at),
            moved=row.moved,
            change=Change(id=strawberry.ID(row.change), kind=ChangeKind.MERGED),
        )


@strawberry.type(description="One person: the durable profile of the identifiers that the evidence joins.")
class Profile(Node):
    redirected_from: strawberry.ID | None = strawberry.field(
        default=None, description="The id that was asked for, where it was merged into this one."
    )
    state: strawberry.Private[ProfileState | None] = None
    ref: strawberry.Private[ProfileRef | None] = None
    fresh: strawberry.Private[Freshness | None] = None

    def __post_init__(self) -> None:
        show(self.id)

    @classmethod
    def written(cls, ref: ProfileRef, token: str) -> "Profile":
        """The profile as a write left it; what the write does not know is read after it."""
        return cls(id=strawberry.ID(ref.id), ref=ref, fresh=Freshness(token=token or None))

    @classmethod
    def of(cls, state: ProfileState, asked: str, fresh: Freshness) -> "Profile":
        redirected = strawberry.ID(asked) if asked != state.id else None
        return cls(id=strawberry.ID(state.id), redirected_from=redirected, state=state, fresh=fresh)

    def _fresh(self, info: Info) -> Freshness:
        info.context.require(Scope.READ)
        return self.fresh or info.context.fresh()

    async def _state(self, info: Info) -> ProfileState:
        if self.state is None:
            self.state = await info.context.services.profiles.state(self.id, self._fresh(info))
            if self.state is None:
                raise BadInput(f"there is no profile {self.id}: a dry run makes none")
        return self.state

    def known(self) -> ProfileRef | ProfileState:
        """Raises :class:`LookupError` where nothing is."""
        if known := self.ref or self.state:
            return known
        raise LookupError("not read yet")

    def _property(self, info: Info, name: str) -> Any:
        """What is known already, or an awaitable of it: a thousand needless ones cost a tenth of a second."""
        return getattr(self.known(), name) if self.ref or self.state else self._awaited(info, name)

    async def _awaited(self, info: Info, name: str) -> Any:
        return getattr(await self._state(info), name)

    @strawberry.field
    async def status(self, info: Info) -> ProfileStatus:
        return ProfileStatus((await self._state(info)).status)

    @strawberry.field(
        description="Counts the profile's changes, to be sent back as `expectedVersion`; never `asOf`.",
        metadata=at_hand(lambda profile: profile.known().version),
    )
    def version(self, info: Info) -> int:
        return self._property(info, "version")

    @strawberry.field(
        description="How many identifiers the profile has.", metadata=at_hand(lambda profile: profile.known().size)
    )
    def size(self, info: Info) -> int:
        return self._property(info, "size")

    @strawberry.field
    async def created_at(self, info: Info) -> DateTime:
        return moment((await self._state(info)).created_at)

    @strawberry.field(
        description="The values that survived, by name, and aggregates where nobody says something else of their "
        "names: `first_seen`, `last_seen`, `last_purchase`, `lifetime_value` and `favourite_channel`; and those "
        "that the rules declare, whatever is said of their names. With `asOf` there are none of them: "
        "`aggregates` tells what is known today of then."
    )
    async def golden_record(self, info: Info) -> list[GoldenTrait]:
        traits = await info.context.services.profiles.golden_record(self.id, self._fresh(info))
        return [GoldenTrait.of(trait) for trait in traits]

    @strawberry.field(description="In the order of namespace and value.")
    async def identifiers(self, info: Info, first: First = 50, after: After = None) -> Connection[ProfileIdentifier]:
        key: str = "" if after is None else from_cursor(after, str)[0]
        page = await info.context.services.profiles.members(self.id, page_size(first), key, self._fresh(info))
        nodes = [ProfileIdentifier.of(row) for row in page.items]
        return Connection.of(nodes, [to_cursor(row.key) for row in page.items], page.more, page.total)

    @strawberry.field(description="Newest first.")
    async def records(self, info: Info, first: First = 20, after: After = None) -> Connection[Record]:
        before = None if after is None else from_cursor(after, int, str)
        page = await info.context.services.profiles.records(self.id, page_size(first), before, self._fresh(info))
        cursors = [to_cursor(row.observed_at, row.key) for row in page.items]
        return Connection.of([Record.of(row) for row in page.items], cursors, page.more, page.total)

    @strawberry.field(
        description="The profiles that became this one, newest first, 1,000 at most; each with its parent."
    )
    async def merge_tree(self, info: Info) -> list[MergeTreeNode]:
        rows = await info.context.services.profiles.merge_tree(self.id, self._fresh(info))
        return [MergeTreeNode.of(row) for row in rows]

    @strawberry.field(description="What happened to this profile and to those that were merged into it, newest first.")
    async def lineage(self, info: Info, first: First = 50, after: After = None) -> Connection[Change]:
        before = None if after is None else from_cursor(after, int, str)
        page = await info.context.services.profiles.lineage(self.id, page_size(first), before, self._fresh(info))
        cursors = [to_cursor(row.at, row.id) for row in page.items]
        return Connection.of([Change.of(row) for row in page.items], cursors, page.more, page.total)

    @strawberry.field(
        description="What the person did across devices and sources, newest first. "
        "`first` and `after` read on, `last` and `before` read back; 20 events if neither says how many."
    )
    async def journey(
        self,
        info: Info,
        first: Annotated[int | None, strawberry.argument(description="How many to return, 1 to 100.")] = None,
        after: After = None,
        last: Annotated[int | None, strawberry.argument(description="How many to return, 1 to 100.")] = None,
        before: Annotated[
            str | None, strawberry.argument(description="Return what precedes this cursor, a `startCursor`.")
        ] = None,
        types: Annotated[list[str] | None, strawberry.argument(description="Only events of these types.")] = None,
        from_: Annotated[DateTime | None, strawberry.argument(name="from", description="Not before this.")] = None,
        to: Annotated[DateTime | None, strawberry.argument(description="Before this.")] = None,
    ) -> Journey:
        back = last is not None or before is not None
        if back and (first is not None or after is not None):
            raise BadInput("first goes with after and last with before; give one of the two pairs")
        argument, size, cursor = ("last", last, before) if back else ("first", first, after)
        place = None if cursor is None else from_cursor(cursor, int, str, argument="before" if back else "after")
        page = await info.context.services.journeys.page(
            self.id,
            PAGE if size is None else page_size(size, argument),
            _events(types, from_, to),
            after=(place[0], place[1]) if place else None,
            back=back,
            fresh=self._fresh(info),
        )
        return Journey.of(page, back=back, inside=cursor is not None)

    @strawberry.field(
        description="What the events of the person add up to. With `withinDays` only those of so many days until now, "
        "or until `asOf`, as far as they are kept."
    )
    async def aggregates(self, info: Info, within_days: int | None = None) -> Aggregates:
        fresh = self._fresh(info)
        since = None
        if within_days is not None:
            if not 1 <= within_days <= MOST_DAYS:
                raise BadInput(f"withinDays must lie between 1 and {MOST_DAYS}")
            since = max(0, (now() if fresh.as_of is None else fresh.as_of) - within_days * DAY)
        return Aggregates.of(await info.context.services.journeys.aggregates(self.id, since, fresh))

    @strawberry.field(description="The segments whose rules it satisfies, by name.")
    async def segments(self, info: Info) -> list[ProfileSegment]:
        found = await info.context.services.profiles.segments(self.id, self._fresh(info))
        return [ProfileSegment(name=name, entered_at=moment(entered)) for name, entered in found]


@strawberry.type(description="A profile that was found, and by what: an identifier, or its name or e-mail address.")
class SearchHit:
    profile: Profile
    name: str | None
    identifier: Identifier | None
    email: str | None

    @classmethod
    def of(cls, hit: Hit, fresh: Freshness, *, plain: bool) -> "SearchHit":
        """``plain``: the caller may see personal values whole."""
        shown = str if plain else masked
        namespace, value = split_key(hit.key) if hit.key else ("", "")
        return cls(
            profile=Profile(id=strawberry.ID(hit.profile), fresh=fresh),
            name=hit.name and shown(hit.name),
            identifier=Identifier(namespace=namespace, value=shown(value)) if hit.key else None,
            email=hit.email and shown(hit.email),
        )


@strawberry.type(description="What is known of one of the identifiers that were asked for.")
class Resolution:
    identifier: Identifier
    status: Status
    profile: Profile | None


@strawberry.type(description="Another device of a person.")
class PersonDevice:
    identifier: Identifier
    last_seen_at: DateTime | None = strawberry.field(description=LAST_SEEN)
    confidence: float = strawberry.field(
        description="How sure it is the same person's: 1.0 by observed links, else the weakest link's probability."
    )

    @classmethod
    def of(cls, row: DeviceRow) -> "PersonDevice":
        return cls(identifier=Identifier.of(row.key), last_seen_at=_moment(row.last_seen), confidence=row.confidence)


@strawberry.type(description="Who is behind a device.")
class CrossDevice:
    status: Status
    profile: Profile | None
    devices: list[PersonDevice]
