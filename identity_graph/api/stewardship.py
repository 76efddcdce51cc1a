"""What stewards do: merge, split, keep apart, and take any change back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated

import strawberry

from identity_graph.api.errors import BadInput
from identity_graph.api.inputs import IdentifierInput
from identity_graph.api.limits import LENGTH
from identity_graph.api.scalars import DateTime, from_cursor, microseconds, to_cursor
from identity_graph.api.types import Change, ChangeKind, Info, Profile, RefusedLink, page_size
from identity_graph.domain.decision import Change as DomainChange
from identity_graph.domain.evidence import Key
from identity_graph.domain.identifiers import InvalidIdentifier, identify
from identity_graph.domain.rules import Rules
from identity_graph.services.declined import Declined
from identity_graph.services.stewardship import (
    MOST_RETRACTED,
    Done,
    Merges,
    Observations,
    Stewards,
)
from identity_graph.store.graph import join_tokens

MAX_REASON = 1_000
#: Identifiers of one split; the size cap's default.
MAX_IDENTIFIERS = 1_000
#: An act changes a few profiles.
FEW = {LENGTH: 4}

REASON = "Why, 1 to 1,000 characters; kept in the lineage with the name of the API key."
EXPECTED = "Refused with `CONFLICT` where the profile has another version by now."
DRY_RUN = "Say what would happen, and write nothing."


def told(changes: Sequence[DomainChange], token: str) -> list[Change]:
    """What an act changed; its participants are known without a look, also after a dry run."""
    return [
        Change(id=strawberry.ID(c.id), kind=ChangeKind(c.kind), token=token or None, known=c.participants)
        for c in changes
    ]


@strawberry.input
class MergeProfilesInput:
    profile_ids: list[strawberry.ID] = strawberry.field(description="2 to 10.")
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=f"Of the first. {EXPECTED}")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class SplitProfileInput:
    profile_id: strawberry.ID
    identifiers: list[IdentifierInput] = strawberry.field(description="Those that are another person's.")
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=EXPECTED)
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class UndoChangeInput:
    change_id: strawberry.ID
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(
        default=None,
        description="Of the profile that the change made or kept: a merge's survivor, a move's target, what a split "
        f"split off; where it has only parties, of the one with the least id. {EXPECTED}",
    )
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class SetCannotLinkInput:
    a: IdentifierInput
    b: IdentifierInput
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=f"Of the profile of `a`. {EXPECTED}")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class RemoveCannotLinkInput:
    a: IdentifierInput
    b: IdentifierInput
    reason: str = strawberry.field(description=REASON)
    expected_version: int | None = strawberry.field(default=None, description=f"Of the profile of `a`. {EXPECTED}")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.type(description="It was done; every change can be undone by its id.")
class ProfileChanged:
    profile: Profile | None = strawberry.field(description="Null where only junk values were retracted.")
    changes: list[Change] = strawberry.field(metadata=FEW)
    held_back: list[RefusedLink] = strawberry.field(
        description="Links that join nobody by this act, or for another reason than before: what an undo or a removed "
        "cannot-link would bring together, but a guard rail forbids. The first 20.",
        metadata=FEW,
    )

    @classmethod
    def of(cls, done: Done, token: str) -> "ProfileChanged":
        return cls(
            profile=Profile.written(done.profile, token) if done.profile else None,
            changes=told(done.changes, token),
            held_back=[RefusedLink.of(link) for link in done.held_back],
        )


@strawberry.type(description="It was not done, and nothing was written; `code` says why.")
class ChangeRefused:
    code: str
    message: str


ProfileChangeOutcome = Annotated[ProfileChanged | ChangeRefused, strawberry.union("ProfileChangeOutcome")]


@strawberry.type
class ProfileChangePayload:
    consistency_token: str = strawberry.field(description="Empty after a dry run, and where nothing was done.")
    outcome: ProfileChangeOutcome


@strawberry.input(description="Merges that links brought about and that are not undone. What is left out says nothing.")
class MergesInput:
    source: str | None = strawberry.field(default=None, description="Observed by this source.")
    model_version: str | None = strawberry.field(default=None, description="Matched by this version of the model.")
    identifier: IdentifierInput | None = strawberry.field(default=None, description="At this device, address …")
    from_: DateTime | None = strawberry.field(default=None, name="from", description="Written at this moment or later.")
    to: DateTime | None = strawberry.field(default=None, description="Written before this moment.")


@strawberry.input
class UndoMergesInput:
    merges: MergesInput
    reason: str = strawberry.field(description=REASON)
    first: int = strawberry.field(default=20, description="So many, newest first; 100 at most.")
    after: str | None = strawberry.field(default=None, description="The `endCursor` of the call before.")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.input
class UndoRetractionsInput:
    source: str = strawberry.field(description="Each that took back observations of this source, as a whole.")
    reason: str = strawberry.field(description=REASON)
    first: int = strawberry.field(default=5, description="So many, newest first; 100 at most. Each may take seconds.")
    after: str | None = strawberry.field(default=None, description="The `endCursor` of the call before.")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.type(description="What became of one of many changes.")
class UndoneChange:
    change_id: strawberry.ID
    outcome: ProfileChangeOutcome


@strawberry.type
class UndoChangesPayload:
    consistency_token: str = strawberry.field(description="Empty after a dry run.")
    results: list[UndoneChange]
    remaining: int = strawberry.field(description="How many changes come after these.")
    end_cursor: str | None = strawberry.field(description="Sent as `after`, it goes on; each is undone by itself.")


@strawberry.input(description="Which observations, by one of the three.")
class ObservationsInput:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="1 to 500 of them.")
    source: str | None = strawberry.field(default=None, description="All that this source made.")
    link_id: strawberry.ID | None = strawberry.field(default=None, description="All that support this observed link.")


@strawberry.input
class RetractInput:
    observations: ObservationsInput
    reason: str = strawberry.field(description=REASON)
    first: int = strawberry.field(default=100, description="So many of a source's or a link's; 500 at most.")
    dry_run: bool = strawberry.field(default=False, description=DRY_RUN)


@strawberry.type
class RetractPayload:
    consistency_token: str = strawberry.field(description="Empty after a dry run, and where nothing was done.")
    retracted: int = strawberry.field(description="How many observations were taken back.")
    remaining: int = strawberry.field(description="How many more there are; the same call goes on with them.")
    outcome: ProfileChangeOutcome


@strawberry.type
class StewardMutation:
    @strawberry.mutation(description="Make profiles one, by a person's word.")
    async def merge_profiles(self, info: Info, input: MergeProfilesInput) -> ProfileChangePayload:
        stewards, by = by_caller(info, input.reason)
        ids = list[str](input.profile_ids)
        return await acted(lambda: stewards.merge(ids, input.expected_version, *by, dry_run=input.dry_run))

    @strawberry.mutation(description="Take identifiers out of a profile, and keep them apart from those that stay.")
    async def split_profile(self, info: Info, input: SplitProfileInput) -> ProfileChangePayload:
        stewards, by = by_caller(info, input.reason)
        if not 1 <= len(input.identifiers) <= MAX_IDENTIFIERS:
            raise BadInput(f"identifiers has 1 to {MAX_IDENTIFIERS} items, this one has {len(input.identifiers)}")
        rules = info.context.services.rules

        def work() -> tuple[Done, str]:
            keys = _keys(input.identifiers, "identifiers", rules)
            return stewards.split(input.profile_id, keys, input.expected_version, *by, dry_run=input.dry_run)

        return await acted(work)

    @strawberry.mutation(
        description="Take a change back and keep it so: the same evidence arriving again does not bring it back. "
        "The undo is a change too, and can be undone."
    )
    async def undo_change(self, info: Info, input: UndoChangeInput) -> ProfileChangePayload:
        stewards, by = by_caller(info, input.reason)
        return await acted(lambda: stewards.undo(input.change_id, input.expected_version, *by, dry_run=input.dry_run))

    @strawberry.mutation(
        description="Undo many merges, newest first, each by itself. Call it again with `endCursor` until none "
        "remains; what was undone stays so if you stop."
    )
    async def undo_merges(self, info: Info, input: UndoMergesInput) -> UndoChangesPayload:
        stewards, some = info.context.services.stewards, _merges(input.merges, info.context.services.rules)
        return await _undo_all(info, input, lambda first, after: stewards.merges(some, first, after))

    @strawberry.mutation(
        description="Bring back what was retracted of a source, one retraction after the other, newest first. Call it "
        "again with `endCursor` until none remains; what was brought back stays so if you stop."
    )
    async def undo_retractions(self, info: Info, input: UndoRetractionsInput) -> UndoChangesPayload:
        stewards = info.context.services.stewards
        return await _undo_all(info, input, lambda first, after: stewards.retractions(input.source, first, after))

    @strawberry.mutation(
        description="Take observations back, as if they had never been made: links, identifiers, records and events "
        "that rest on nothing else go. The same observation arriving again is rejected as `RETRACTED`. All of it can "
        "be undone by the id of the change. It looks at all observations there are, so it takes seconds."
    )
    async def retract(self, info: Info, input: RetractInput) -> RetractPayload:
        stewards, by = by_caller(info, input.reason)
        some = _observations(input.observations)
        if not 1 <= input.first <= MOST_RETRACTED:
            raise BadInput(f"first is 1 to {MOST_RETRACTED}")
        try:
            found, token = await asyncio.to_thread(
                lambda: stewards.retract(some, input.first, *by, dry_run=input.dry_run)
            )
        except Declined as e:
            refused = ChangeRefused(code=e.code, message=str(e))
            return RetractPayload(consistency_token="", retracted=0, remaining=0, outcome=refused)
        return RetractPayload(
            consistency_token=token,
            retracted=found.observations,
            remaining=found.remaining,
            outcome=ProfileChanged.of(found.done, token),
        )

    @strawberry.mutation(description="These two are never one person, whatever is observed.")
    async def set_cannot_link(self, info: Info, input: SetCannotLinkInput) -> ProfileChangePayload:
        stewards, by = by_caller(info, input.reason)
        rules = info.context.services.rules

        def work() -> tuple[Done, str]:
            a, b = _pair(input.a, input.b, rules)
            return stewards.set_cannot_link(a, b, input.expected_version, *by, dry_run=input.dry_run)

        return await acted(work)

    @strawberry.mutation(description="Let two be one person again, where the evidence says so.")
    async def remove_cannot_link(self, info: Info, input: RemoveCannotLinkInput) -> ProfileChangePayload:
        stewards, by = by_caller(info, input.reason)
        rules = info.context.services.rules

        def work() -> tuple[Done, str]:
            a, b = _pair(input.a, input.b, rules)
            return stewards.remove_cannot_link(a, b, input.expected_version, *by, dry_run=input.dry_run)

        return await acted(work)


def checked_reason(reason: str) -> str:
    """Raises :class:`BadInput` where it is empty or too long."""
    reason = reason.strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise BadInput(f"reason has 1 to {MAX_REASON} characters")
    return reason


def by_caller(info: Info, reason: str) -> tuple[Stewards, tuple[str, str]]:
    return info.context.services.stewards, (info.context.caller.name, checked_reason(reason))


async def acted(work: Callable[[], tuple[Done, str]]) -> ProfileChangePayload:
    try:
        done, token = await asyncio.to_thread(work)
    except Declined as e:
        return ProfileChangePayload(consistency_token="", outcome=ChangeRefused(code=e.code, message=str(e)))
    return ProfileChangePayload(consistency_token=token, outcome=ProfileChanged.of(done, token))


async def _undo_all(
    info: Info,
    input: UndoMergesInput | UndoRetractionsInput,
    find: Callable[[int, tuple[int, str] | None], tuple[list[tuple[int, str]], int]],
) -> UndoChangesPayload:
    """Undo a page of changes, each by itself. ``find`` gets the size and the last one of the page before."""
    stewards, by = by_caller(info, input.reason)
    after = None if input.after is None else from_cursor(input.after, int, str)
    found, total = await asyncio.to_thread(find, page_size(input.first), after)
    results: list[UndoneChange] = []
    tokens: list[str] = []
    for _, id in found:
        payload = await acted(lambda id=id: stewards.undo(id, None, *by, dry_run=input.dry_run))
        results.append(UndoneChange(change_id=strawberry.ID(id), outcome=payload.outcome))
        tokens.append(payload.consistency_token)
    return UndoChangesPayload(
        consistency_token=join_tokens(filter(None, tokens)),
        results=results,
        remaining=total - len(found),
        end_cursor=to_cursor(*found[-1]) if found else None,
    )


def _merges(asked: MergesInput, rules: Rules) -> Merges:
    key = None
    if asked.identifier:
        try:
            key = identify(asked.identifier.namespace, asked.identifier.value, rules).key
        except InvalidIdentifier as e:
            raise BadInput(f"merges.identifier.{e.field}: {e}") from e
    since, until = microseconds(asked.from_, "merges.from"), microseconds(asked.to, "merges.to")
    return Merges(asked.source, asked.model_version, key, since, until)


def _observations(asked: ObservationsInput) -> Observations:
    given = [asked.ids is not None, asked.source is not None, asked.link_id is not None]
    if sum(given) != 1:
        raise BadInput("observations has one of ids, source and linkId")
    ids = tuple[str, ...](asked.ids or ())
    if asked.ids is not None and not 1 <= len(ids) <= MOST_RETRACTED:
        raise BadInput(f"observations.ids has 1 to {MOST_RETRACTED} items, this one has {len(ids)}")
    return Observations(ids, asked.source, asked.link_id)


def _keys(identifiers: Sequence[IdentifierInput], field: str, rules: Rules) -> list[Key]:
    return [_key(one, f"{field}.{number}", rules) for number, one in enumerate(identifiers)]


def _pair(a: IdentifierInput, b: IdentifierInput, rules: Rules) -> tuple[Key, Key]:
    return _key(a, "a", rules), _key(b, "b", rules)


def _key(identifier: IdentifierInput, field: str, rules: Rules) -> Key:
    try:
        return identify(identifier.namespace, identifier.value, rules).key
    except InvalidIdentifier as e:
        raise Declined("INVALID_IDENTIFIER", f"{field}.{e.field}: {e}") from e
