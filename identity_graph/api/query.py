"""Reads."""

import strawberry

from identity_graph.api.errors import BadInput, UnusableIdentifier
from identity_graph.api.inputs import IdentifierInput
from identity_graph.api.keys import Scope
from identity_graph.api.matching import MatchQuery
from identity_graph.api.segments import SegmentQuery
from identity_graph.api.simulation import SimulationQuery
from identity_graph.api.types import (
    AsOf,
    Change,
    ChangeKind,
    CrossDevice,
    First,
    Identifier,
    Info,
    Link,
    Node,
    PersonDevice,
    Profile,
    Resolution,
    SearchHit,
    page_size,
)
from identity_graph.domain.search import MAX_TEXT
from identity_graph.services.lookup import MAX_IDENTIFIERS, Found, Status


@strawberry.type
class Query(MatchQuery, SegmentQuery, SimulationQuery):
    @strawberry.field(
        description="Whose are these identifiers, 1,000 at most? Answered in their order, each with its status."
    )
    async def resolve(self, info: Info, identifiers: list[IdentifierInput], as_of: AsOf = None) -> list[Resolution]:
        if len(identifiers) > MAX_IDENTIFIERS:
            raise BadInput(f"identifiers has at most {MAX_IDENTIFIERS} items, this one has {len(identifiers)}")
        fresh = info.context.fresh(as_of)
        asked = [(i.namespace, i.value) for i in identifiers]
        answers = await info.context.services.lookup.resolve(asked, fresh)
        return [
            Resolution(
                identifier=Identifier(namespace=a.namespace, value=a.value),
                status=a.status,
                profile=Profile(id=strawberry.ID(a.profile), fresh=fresh) if a.profile else None,
            )
            for a in answers
        ]

    @strawberry.field(description="The profile that holds an identifier; null where none does.")
    async def profile_by_identifier(
        self, info: Info, identifier: IdentifierInput, as_of: AsOf = None
    ) -> Profile | None:
        fresh = info.context.fresh(as_of)
        found = await info.context.services.profiles.by_identifier(identifier.namespace, identifier.value, fresh)
        _usable(found, "identifier")
        return await _profile(info, found.holder, as_of) if found.holder else None

    @strawberry.field(description="A profile by its id, also by one that was merged away.")
    async def profile(self, info: Info, id: strawberry.ID, as_of: AsOf = None) -> Profile | None:
        return await _profile(info, id, as_of)

    @strawberry.field(description="What happened to the graph as a whole, newest first: other rules, other models.")
    async def graph_changes(self, info: Info, first: First = 50) -> list[Change]:
        info.context.require(Scope.READ)
        found = await info.context.services.profiles.graph_changes(page_size(first))
        return [Change(id=strawberry.ID(id), kind=ChangeKind(kind)) for id, kind in found]

    @strawberry.field(
        description="The person behind a device, and their other devices, last seen first. With `asOf` those of then; "
        "how sure is told by what is known now."
    )
    async def cross_device(self, info: Info, device: IdentifierInput, as_of: AsOf = None) -> CrossDevice:
        fresh = info.context.fresh(as_of)
        found, devices = await info.context.services.profiles.devices(device.namespace, device.value, fresh)
        _usable(found, "device")
        return CrossDevice(
            status=found.status,
            profile=Profile(id=strawberry.ID(found.profile), fresh=fresh) if found.profile else None,
            devices=[PersonDevice.of(device) for device in devices],
        )

    @strawberry.field(
        description="Profiles by what somebody types: the beginning of an id, an e-mail address or a phone number, or "
        "words of a name. Names follow a write a moment later. Values are masked without the scope `pii`."
    )
    async def search_profiles(self, info: Info, text: str, first: First = 20) -> list[SearchHit]:
        info.context.require(Scope.READ)
        if not text.strip() or len(text) > MAX_TEXT:
            raise BadInput(f"text must have 1 to {MAX_TEXT} characters")
        fresh, plain = info.context.fresh(), info.context.caller.allows(Scope.PII)
        hits = await info.context.services.search.find(text, page_size(first), fresh)
        return [SearchHit.of(hit, fresh, plain=plain) for hit in hits]

    @strawberry.field(description="A profile, change or link by its id.")
    async def node(self, info: Info, id: strawberry.ID) -> Node | None:
        profiles, fresh = info.context.services.profiles, info.context.fresh()
        if profile := await _profile(info, id, None):
            return profile
        if change := await profiles.change(id, fresh):
            return Change.of(change)
        link = await profiles.link(id, fresh)
        return Link.of(link) if link else None


async def _profile(info: Info, id: str, as_of: str | None) -> Profile | None:
    fresh = info.context.fresh(as_of)
    state = await info.context.services.profiles.state(id, fresh)
    return Profile.of(state, id, fresh) if state else None


def _usable(found: Found, argument: str) -> None:
    if found.status is Status.INVALID:
        raise UnusableIdentifier(f"{argument}.{found.reason}")
